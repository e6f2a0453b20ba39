#include "faults.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace falproxy::inline v0::testing {
namespace {

using namespace std::chrono_literals;

Answer json_answer(int status, std::string body, HttpHeaders headers = {}) {
  return {.status = status, .body = std::move(body), .headers = std::move(headers)};
}

/// What the ingress in front of the queue says: HTML, and no x-fal-request-id.
Answer ingress(int status) {
  return {.status = status,
          .body = "<html>\r\n<head><title>" + std::to_string(status) +
                  "</title></head>\r\n<body><center><h1>not "
                  "today</h1></center><hr><center>nginx</center></body>\r\n</html>\r\n",
          .content_type = "text/html",
          .from_fal = false};
}

Answer flat(int status, const std::string& detail, const std::string& type) {
  return json_answer(status, R"({"detail":")" + detail + R"(","error_type":")" + type + "\"}",
                     {{"x-fal-error-type", type}});
}

Answer model_error(const std::string& type, const std::string& message, const std::string& field) {
  return json_answer(422,
                     R"({"detail":[{"loc":["body",")" + field + R"("],"msg":")" + message +
                         R"(","type":")" + type + "\"}]}",
                     {{"x-fal-retryable", "false"}});
}

Answer redirect() {
  return {.status = 307, .headers = {{"location", "{elsewhere}/somewhere.png"}}};
}

Answer html() {
  return {
      .status = 200, .body = "<html><body>maintenance</body></html>", .content_type = "text/html"};
}

Fault answering(Step step, Answer answer) { return {.step = step, .answer = std::move(answer)}; }
Fault on_wire(Step step, Wire wire, bool processed = true) {
  return {.step = step, .wire = wire, .processed = processed};
}
Fault ending(JobChange change) { return {.step = Step::any, .job = std::move(change)}; }

const std::map<std::string, Fault, std::less<>>& presets() {
  const std::string busy =
      R"({"detail":"Reached concurrent requests limit of 2","type":"concurrent_requests_limit"})";
  const std::string no_user = R"({"detail":"No user found for Key ID and Secret"})";
  const std::string locked =
      R"({"detail":"User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."})";
  static const std::map<std::string, Fault, std::less<>> table = {
      // Refusals of the key.
      {"rate_limited",
       answering(Step::submit, json_answer(429, busy, {{"x-fal-needs-retry", "1"}}))},
      {"rate_limited_retry_after",
       answering(Step::submit, json_answer(429, busy, {{"retry-after", "2"}}))},
      {"bad_key", answering(Step::any, json_answer(401, no_user))},
      {"exhausted", answering(Step::submit, json_answer(403, locked))},
      {"status_locked", answering(Step::status, json_answer(403, locked))},
      {"stream_locked", answering(Step::status_stream, json_answer(403, locked))},
      // The ingress and the queue.
      {"ingress_502", answering(Step::submit, ingress(502))},
      {"ingress_503", answering(Step::submit, ingress(503))},
      {"ingress_504", answering(Step::submit, ingress(504))},
      {"queue_500", answering(Step::submit, flat(500, "Internal Server Error", "internal_error"))},
      {"queue_503",
       answering(Step::submit, flat(503, "No runner available", "runner_scheduling_failure"))},
      {"queue_html", answering(Step::submit, html())},
      {"status_500", answering(Step::status, flat(500, "Internal Server Error", "internal_error"))},
      {"status_html", answering(Step::status, html())},
      {"result_503", answering(Step::result, ingress(503))},
      {"result_html", answering(Step::result, html())},
      {"cancel_500", answering(Step::cancel, flat(500, "Internal Server Error", "internal_error"))},
      {"cancel_silence", on_wire(Step::cancel, Wire::silence)},
      // The wire.
      {"submit_reset_unread", on_wire(Step::submit, Wire::reset_unread)},
      {"submit_close_unread", on_wire(Step::submit, Wire::close_unread)},
      {"submit_reset", on_wire(Step::submit, Wire::reset, false)},
      {"submit_reads_and_closes", on_wire(Step::submit, Wire::close, false)},
      {"submit_accepts_and_closes", on_wire(Step::submit, Wire::close, true)},
      {"submit_silence", on_wire(Step::submit, Wire::silence, true)},
      {"submit_drip", {.step = Step::submit, .drip_bytes = 16}},
      {"expect_ignored", on_wire(Step::any, Wire::ignore_expect)},
      {"status_reset", on_wire(Step::status, Wire::reset)},
      {"status_silence", on_wire(Step::status, Wire::silence)},
      {"result_reset", on_wire(Step::result, Wire::reset)},
      {"result_close", on_wire(Step::result, Wire::close)},
      {"result_silence", on_wire(Step::result, Wire::silence)},
      {"result_drip", {.step = Step::result, .drip_bytes = 16}},
      {"result_half",
       answering(Step::result, json_answer(200, R"({"images":[{"url":"https://v3)"))},
      {"result_truncated", {.step = Step::result, .cut_after = 40}},
      {"result_redirect", answering(Step::result, redirect())},
      {"submit_redirect", answering(Step::submit, redirect())},
      {"stream_refused",
       answering(Step::status_stream, flat(503, "Streaming is not available", "internal_error"))},
      {"stream_unknown",
       answering(Step::status_stream, json_answer(404, R"({"detail":"Not Found"})"))},
      {"stream_dies", on_wire(Step::status_stream, Wire::stream_dies)},
      {"stream_ends", on_wire(Step::status_stream, Wire::stream_ends)},
      {"stream_stalls", on_wire(Step::status_stream, Wire::stream_stalls)},
      {"stream_silence", on_wire(Step::status_stream, Wire::silence)},
      {"run_reset", on_wire(Step::run, Wire::reset)},
      {"model_stream_dies", on_wire(Step::model_stream, Wire::stream_dies)},
      {"model_stream_ends", on_wire(Step::model_stream, Wire::stream_ends)},
      // How jobs end.
      {"job_error", ending({.error = "Runner exited", .error_type = "runner_server_error"})},
      {"job_disconnected",
       ending({.error = "Runner disconnected", .error_type = "runner_disconnected"})},
      {"job_invalid",
       ending({.result = model_error("value_error", "this model does not like it", "prompt")})},
      {"job_500", ending({.result = json_answer(500, R"({"detail":"Internal Server Error"})")})},
      {"content_policy",
       ending({.result = model_error("content_policy_violation",
                                     "The content could not be processed because it was flagged",
                                     "prompt")})},
      {"no_media",
       ending({.result = model_error("no_media_generated", "No media was generated", "prompt")})},
      {"no_images", ending({.result = json_answer(200, R"({"images":[],"seed":1})")})},
      {"cold_start", ending({.queue_time = 5000ms})},
      {"ignores_cancel", ending({.ignores_cancel = true})},
      // Addresses that nobody should call.
      {"elsewhere_status", ending({.elsewhere_status = true})},
      {"elsewhere_result", ending({.elsewhere_result = true})},
      {"elsewhere_cancel", ending({.elsewhere_cancel = true})},
      {"elsewhere_images", ending({.elsewhere_images = true})},
      {"elsewhere_upload", {.step = Step::upload_initiate, .elsewhere_upload = true}},
      // Media, storage and documents.
      {"media_404", answering(Step::media, json_answer(404, R"({"detail":"Not Found"})"))},
      {"media_500", answering(Step::media, ingress(500))},
      {"media_html", answering(Step::media, html())},
      {"media_redirect", answering(Step::media, redirect())},
      {"media_reset", on_wire(Step::media, Wire::reset)},
      {"media_silence", on_wire(Step::media, Wire::silence)},
      {"media_truncated", {.step = Step::media, .cut_after = 1000}},
      {"media_drip", {.step = Step::media, .drip_bytes = 512}},
      {"upload_initiate_500",
       answering(Step::upload_initiate, flat(500, "Internal Server Error", "internal_error"))},
      {"upload_500", answering(Step::upload, ingress(500))},
      {"upload_reset", on_wire(Step::upload, Wire::reset_unread)},
      {"document_404", answering(Step::document, json_answer(404, R"({"detail":"Not Found"})"))},
      {"document_500", answering(Step::document, ingress(500))},
      {"document_html", answering(Step::document, html())},
      {"document_silence", on_wire(Step::document, Wire::silence)},
      {"document_truncated", {.step = Step::document, .cut_after = 500}},
  };
  return table;
}

bool is_early(Wire wire) {
  return wire == Wire::reset_unread || wire == Wire::close_unread || wire == Wire::ignore_expect;
}

bool acts_on_exchange(const Fault& fault) {
  return fault.answer || (fault.wire != Wire::none && !is_early(fault.wire)) ||
         fault.delay.count() > 0 || fault.drip_bytes > 0 || fault.cut_after ||
         fault.elsewhere_upload;
}

void merge(JobChange& into, const JobChange& from) {
  if (!into.queue_time) into.queue_time = from.queue_time;
  if (!into.job_time) into.job_time = from.job_time;
  if (into.error.empty()) into.error = from.error;
  if (into.error_type.empty()) into.error_type = from.error_type;
  if (!into.result) into.result = from.result;
  into.ignores_cancel |= from.ignores_cancel;
  into.elsewhere_status |= from.elsewhere_status;
  into.elsewhere_result |= from.elsewhere_result;
  into.elsewhere_cancel |= from.elsewhere_cancel;
  into.elsewhere_images |= from.elsewhere_images;
}

std::optional<int> number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<Fault> fault_of_word(std::string_view word) {
  for (const std::string_view name : {"job_time=", "queue_time="}) {
    if (!word.starts_with(name)) continue;
    const std::optional<int> milliseconds = number(word.substr(name.size()));
    if (!milliseconds) return std::nullopt;
    Fault fault{.name = std::string(name.substr(0, name.size() - 1))};
    (name == "job_time=" ? fault.job.job_time : fault.job.queue_time) = Milliseconds(*milliseconds);
    return fault;
  }
  const std::size_t star = word.find('*');
  std::optional<Fault> fault = Fault::preset(word.substr(0, star));
  if (fault && star != std::string_view::npos)
    fault->times = number(word.substr(star + 1)).value_or(-1);
  return fault;
}

constexpr std::size_t remembered_prompts = 10'000;

}  // namespace

std::optional<Fault> Fault::preset(std::string_view name) {
  const auto found = presets().find(name);
  if (found == presets().end()) return std::nullopt;
  Fault fault = found->second;
  fault.name = name;
  return fault;
}

std::vector<std::string> Fault::preset_names() {
  std::vector<std::string> names;
  for (const auto& [name, fault] : presets()) names.push_back(name);
  return names;
}

std::vector<Fault> faults_in_prompt(std::string_view prompt) {
  constexpr std::string_view mark = "falsim:";
  std::vector<Fault> faults;
  for (std::size_t at = prompt.find(mark); at != std::string_view::npos;
       at = prompt.find(mark, at)) {
    at += mark.size();
    const std::size_t end = std::min(prompt.find_first_of(" ,;.\n", at), prompt.size());
    if (std::optional<Fault> fault = fault_of_word(prompt.substr(at, end - at)))
      faults.push_back(*std::move(fault));
  }
  return faults;
}

bool FaultTable::strikes(Rule& rule, const Situation& situation) {
  const Fault& fault = rule.fault;
  const bool fits =
      (fault.step == Step::any || fault.step == situation.step) &&
      (fault.key.empty() || fault.key == situation.key) &&
      (fault.endpoint.empty() || fault.endpoint == situation.endpoint) &&
      (fault.prompt.empty() || situation.prompt.find(fault.prompt) != std::string_view::npos);
  if (!fits) return false;
  if (rule.seen++ < fault.skip) return false;
  if (fault.times >= 0 && rule.struck >= fault.times) return false;
  if (fault.chance < 1.0 && std::uniform_real_distribution<double>(0, 1)(random_) >= fault.chance)
    return false;
  ++rule.struck;
  ++struck_[fault.name];
  return true;
}

template <class F>
void FaultTable::each(const Situation& situation, Kind kind, F&& visit) {
  const auto over = [&](std::vector<Rule>& rules) {
    for (Rule& rule : rules) {
      const Fault& fault = rule.fault;
      const bool of_kind = kind == Kind::early      ? is_early(fault.wire)
                           : kind == Kind::exchange ? acts_on_exchange(fault)
                                                    : fault.job != JobChange{};
      if (of_kind && strikes(rule, situation) && visit(fault)) return true;
    }
    return false;
  };
  if (over(rules_) || situation.prompt.find("falsim:") == std::string_view::npos) return;
  auto known = by_prompt_.find(situation.prompt);
  if (known == by_prompt_.end()) {
    if (by_prompt_.size() >= remembered_prompts) by_prompt_.clear();
    known = by_prompt_.emplace(situation.prompt, std::vector<Rule>()).first;
    for (Fault& fault : faults_in_prompt(situation.prompt))
      known->second.push_back(Rule{std::move(fault)});
  }
  over(known->second);
}

const Fault* FaultTable::first(const Situation& situation, Kind kind) {
  const Fault* found = nullptr;
  each(situation, kind, [&](const Fault& fault) {
    found = &fault;
    return true;
  });
  return found;
}

const Fault* FaultTable::strike(const Situation& situation) {
  return first(situation, Kind::exchange);
}
const Fault* FaultTable::strike_early(const Situation& situation) {
  return first(situation, Kind::early);
}

JobChange FaultTable::job_change(const Situation& situation) {
  JobChange change;
  each(situation, Kind::job, [&](const Fault& fault) {
    merge(change, fault.job);
    return false;
  });
  return change;
}

}  // namespace falproxy::inline v0::testing
