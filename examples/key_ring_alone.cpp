// The keys of several accounts, shared out and rested, for programs that ask fal themselves:
// key_ring_alone
#include <falproxy/key_ring.hpp>
#include <falproxy/system_clock.hpp>
#include <iostream>

int main() {
  using falproxy::KeyOutcome;
  using falproxy::Secret;
  const falproxy::SystemClock clock;
  // Two accounts; the first one has two keys.
  falproxy::KeyRing keys({{Secret("a1:secret"), Secret("a2:secret")}, {Secret("b1:secret")}},
                         {.max_jobs_per_account = 2});

  for (int job = 1; job <= 4; ++job) {
    falproxy::Result<falproxy::KeyLease> lease = keys.acquire(clock.now());
    if (!lease) return std::cerr << lease.error().message << '\n', 1;
    // The program asks fal with lease->key().reveal() and tells what came of it. Here fal is busy
    // the first time.
    lease->report(job == 1 ? KeyOutcome::rate_limited : KeyOutcome::accepted, clock.now());
    std::cout << "job " << job << " has key " << lease->slot() << '\n';
  }  // the end of a lease gives its key back
  const auto accounts = keys.status(clock.now());
  std::cout << accounts.size() << " accounts; the first has "
            << (accounts[0].state == falproxy::AccountStatus::State::ready ? "a key" : "no key")
            << " to give\n";
}
