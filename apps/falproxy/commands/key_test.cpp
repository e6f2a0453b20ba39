#include "commands/key_test.hpp"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/fmt.hpp"
#include "commands/documents.hpp"
#include "runs/faults.hpp"

namespace falproxy::app {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view no_request = "00000000-0000-4000-8000-000000000000";
constexpr std::string_view made_up_key =
    "00000000-0000-4000-8000-000000000000:00000000000000000000000000000000";

struct Answer {
  std::string unreachable = {};  // why there is no answer; empty: there is one
  int status = 0;
  runs::Verdict verdict = {};  // where the status is 400 or more

  [[nodiscard]] bool refuses_the_key() const {
    return verdict.another_key && verdict.outcome != KeyOutcome::rate_limited;
  }
};

Answer ask(const fal::Submitted& job, const Secret& key, Transport& transport, const Clock& clock) {
  const auto response =
      fetch(transport, fal::status_request(job, key), clock.now() + 20s, {}, 1u << 20);
  if (!response) return {.unreachable = response.error().message};
  Answer answer{.status = response->head.status};
  if (answer.status >= 400)
    answer.verdict = runs::verdict_on(fal::read_fault(response->head, response->body));
  return answer;
}

KeyVerdict verdict_of(const Answer& answer, bool control_refused) {
  using enum KeyVerdict::Usable;
  constexpr std::string_view later = "try again later";
  if (!answer.unreachable.empty()) {
    return {no, "fal's queue cannot be reached: " + answer.unreachable,
            "see that FAL_QUEUE_URL answers from here"};
  }
  if (answer.status == 404 || (answer.status >= 200 && answer.status < 300)) {
    if (control_refused) return {yes, "fal takes it", ""};
    return {unknown, "fal answers a made-up key alike, so that nothing is known of this one", ""};
  }
  if (!answer.verdict.outcome.has_value()) {
    if (answer.status == 403 && answer.verdict.another_key) {
      return {no, "fal forbids it to ask for a request (403)",
              "see at fal.ai/dashboard/keys what the key may do"};
    }
    return {unknown, fmt::format("fal answered {}, which says nothing of the key", answer.status),
            std::string(later)};
  }
  switch (*answer.verdict.outcome) {
    case KeyOutcome::refused:
      return {no, "fal refuses it (401)", "take it out of AI_KEYS, or put the right one there"};
    case KeyOutcome::account_blocked:
      return {no, fmt::format("its account is locked or without balance ({})", answer.status),
              "top up the account at fal.ai/dashboard/billing, or take the key out"};
    case KeyOutcome::rate_limited:
    case KeyOutcome::accepted:
      break;
  }
  return {unknown, "fal is busy with its account (429)", std::string(later)};
}

}  // namespace

std::vector<KeyVerdict> test_keys(const std::vector<std::vector<Secret>>& accounts,
                                  const fal::EndpointId& endpoint, const fal::Addresses& fal,
                                  Transport& transport, const Clock& clock, Executor& executor) {
  std::vector<Secret> keys;
  for (const std::vector<Secret>& account : accounts) {
    keys.insert(keys.end(), account.begin(), account.end());
  }
  keys.emplace_back(std::string(made_up_key));
  std::vector<Answer> answers(keys.size());
  // The id is built in, so that this cannot fail.
  const fal::Submitted job = fal::submitted_as(no_request, endpoint, fal.queue).value();
  for_each_at_once(executor, keys.size(), 4,
                   [&](std::size_t i) { answers[i] = ask(job, keys[i], transport, clock); });
  const bool control_refused = answers.back().refuses_the_key();
  std::vector<KeyVerdict> verdicts;
  for (std::size_t i = 0; i + 1 < answers.size(); ++i) {
    verdicts.push_back(verdict_of(answers[i], control_refused));
  }
  return verdicts;
}

}  // namespace falproxy::app
