#include "resolver.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>

#include <atomic>
#include <future>
#include <thread>

#include "certificates.hpp"
#include "deadline.hpp"

using namespace falproxy;
using falproxy_test::in;
using falproxy_test::named_loopback;
using namespace std::chrono_literals;

namespace {

using Answer = Result<std::vector<Address>, Resolver::Failure>;

// "1.2.3.4:80" or "[::1]:80".
std::string text_of(const Address& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    return std::string(::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text))) + ":" +
           std::to_string(ntohs(v4->sin_port));
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  return "[" + std::string(::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text))) +
         "]:" + std::to_string(ntohs(v6->sin6_port));
}

std::vector<Address> loopback() {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  v4->sin_family = AF_INET;
  v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.size = sizeof(sockaddr_in);
  return {address};
}

}  // namespace

TEST_CASE("an address needs no lookup") {
  PollWaiter waiter;
  Resolver resolver(waiter,
                    [](const std::string&) -> Answer { return Resolver::Failure{false, "asked"}; });
  const Answer v4 = resolver.resolve("127.0.0.1", 80, in(60s), {});
  REQUIRE(v4);
  CHECK(text_of(v4->at(0)) == "127.0.0.1:80");
  const Answer v6 = resolver.resolve("::1", 443, in(60s), {});
  REQUIRE(v6);
  CHECK(text_of(v6->at(0)) == "[::1]:443");
}

TEST_CASE("a name is looked up once for all who ask at the same time and soon after") {
  std::atomic<int> asked{0};
  std::promise<void> may_answer;
  std::shared_future<void> go = may_answer.get_future().share();
  PollWaiter waiter;
  Resolver resolver(waiter, [&asked, go](const std::string& host) -> Answer {
    ++asked;
    go.wait();
    CHECK(host == "fal.test");
    return loopback();
  });
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const Answer answer =
          resolver.resolve("fal.test", static_cast<std::uint16_t>(1 + i), in(60s), {});
      REQUIRE(answer);
      CHECK(text_of(answer->at(0)) == "127.0.0.1:" + std::to_string(1 + i));
    });
  }
  may_answer.set_value();
  threads.clear();
  CHECK(resolver.resolve("fal.test", 9, in(60s), {}));
  CHECK(asked == 1);
}

TEST_CASE("a failed lookup is told to those who wait, and tried again by the next") {
  std::atomic<int> asked{0};
  PollWaiter waiter;
  Resolver resolver(waiter, [&asked](const std::string&) -> Answer {
    if (++asked == 1) return Resolver::Failure{false, "no such name"};
    return loopback();
  });
  const Answer first = resolver.resolve("fal.test", 80, in(60s), {});
  REQUIRE_FALSE(first);
  CHECK(first.error().what == "no such name");
  CHECK_FALSE(first.error().timed_out);
  CHECK(resolver.resolve("fal.test", 80, in(60s), {}));
}

TEST_CASE(
    "a lookup that hangs costs its deadline, a stop ends the wait, and the resolver may go before "
    "it") {
  std::promise<void> may_answer;
  std::shared_future<void> go = may_answer.get_future().share();
  std::promise<void> gone;
  {
    PollWaiter waiter;
    Resolver resolver(waiter, [go, &gone](const std::string&) -> Answer {
      go.wait();
      gone.set_value();
      return loopback();
    });
    const Answer late = resolver.resolve("fal.test", 80, in(20ms), {});
    REQUIRE_FALSE(late);
    CHECK(late.error().timed_out);
    std::stop_source source;
    std::jthread stopper([&] { source.request_stop(); });
    CHECK_FALSE(resolver.resolve("fal.test", 80, in(60s), source.get_token()));
  }
  may_answer.set_value();
  gone.get_future().wait();
}

TEST_CASE("a lookup that throws is a failed one") {
  std::atomic<int> asked{0};
  PollWaiter waiter;
  Resolver resolver(waiter, [&asked](const std::string&) -> Answer {
    if (++asked == 1) throw std::bad_alloc();
    return loopback();
  });
  const Answer first = resolver.resolve("fal.test", 80, in(60s), {});
  REQUIRE_FALSE(first);
  CHECK(first.error().what == "cannot resolve fal.test");
  CHECK(resolver.resolve("fal.test", 80, in(60s), {}));
}

TEST_CASE("a lookup that hangs does not hold up its name for ever, and only a few can hang") {
  // The threads that hang outlive the test.
  const auto asked = std::make_shared<std::atomic<int>>(0);
  std::promise<void> may_answer;
  std::shared_future<void> go = may_answer.get_future().share();
  PollWaiter waiter;
  const auto hangs_at_first = [asked, go](const std::string& host) -> Answer {
    if (++*asked <= 2 || host == "all.test") go.wait();
    return loopback();
  };
  Resolver resolver(waiter, hangs_at_first, 0s);
  for (int i = 1; i <= 2; ++i) {
    CHECK_FALSE(resolver.resolve("fal.test", 80, in(10ms), {}));
    while (*asked < i) std::this_thread::yield();
  }
  CHECK(resolver.resolve("fal.test", 80, in(60s), {}));
  CHECK(*asked == 3);
  for (int i = 0; i < 10; ++i) CHECK_FALSE(resolver.resolve("all.test", 80, in(10ms), {}));
  while (*asked < 3 + 4) std::this_thread::yield();
  CHECK(*asked == 3 + 4);
  may_answer.set_value();
}

TEST_CASE("lookups of a name that never answer come ever more rarely, but do not end") {
  CHECK(Resolver::pause_before_next(1, 10s) == 10s);
  CHECK(Resolver::pause_before_next(3, 10s) == 10s);
  CHECK(Resolver::pause_before_next(4, 10s) == 20s);
  CHECK(Resolver::pause_before_next(5, 10s) == 40s);
  CHECK(Resolver::pause_before_next(1'000'000, 10s) == 1h);
}

TEST_CASE("the system finds an address, and says which name it does not know") {
  CHECK(Resolver::system_lookup(named_loopback));
  const std::string impossible(64, 'x');  // longer than a label may be, so that no server is asked
  const Answer unknown = Resolver::system_lookup(impossible);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().what.find(impossible) != std::string::npos);
}
