// The addresses under /_falsim/: the account book to read, faults to set.
#include <utility>

#include "service.hpp"

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

template <class Value>
struct Word {
  std::string_view name;
  Value value;
};
constexpr Word<Step> steps[] = {
    {"any", Step::any},           {"submit", Step::submit},
    {"status", Step::status},     {"status_stream", Step::status_stream},
    {"result", Step::result},     {"cancel", Step::cancel},
    {"run", Step::run},           {"model_stream", Step::model_stream},
    {"document", Step::document}, {"upload_initiate", Step::upload_initiate},
    {"upload", Step::upload},     {"media", Step::media},
    {"pricing", Step::pricing},   {"sign", Step::sign},
    {"estimate", Step::estimate}, {"bills", Step::bills},
    {"balance", Step::balance},   {"history", Step::history},
    {"forget", Step::forget},     {"models", Step::models},
};
constexpr Word<Wire> wires[] = {
    {"none", Wire::none},
    {"reset_unread", Wire::reset_unread},
    {"close_unread", Wire::close_unread},
    {"ignore_expect", Wire::ignore_expect},
    {"reset", Wire::reset},
    {"close", Wire::close},
    {"silence", Wire::silence},
    {"stream_dies", Wire::stream_dies},
    {"stream_ends", Wire::stream_ends},
    {"stream_stalls", Wire::stream_stalls},
};

template <class T, std::size_t size>
std::string_view name_in(const Word<T> (&words)[size], T value) noexcept {
  for (const Word<T>& word : words) {
    if (word.value == value) return word.name;
  }
  return "?";
}

/// Reads the members of one object into a value, and knows what it could not read.
class Reader {
 public:
  Reader(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    if (!object.is_object()) fail("must be an object");
  }

  template <class T>
  void read(const char* name, T& into) {
    const json* value = take(name);
    if (value == nullptr) return;
    if constexpr (std::is_same_v<T, std::string>) {
      if (!value->is_string()) return fail(name, "a string");
    } else if constexpr (std::is_same_v<T, bool>) {
      if (!value->is_boolean()) return fail(name, "true or false");
    } else {
      if (!value->is_number()) return fail(name, "a number");
    }
    into = value->get<T>();
  }
  template <class T>
  void read(const char* name, std::optional<T>& into) {
    if (take_back(name)) read(name, into.emplace());
  }
  void read(const char* name, Milliseconds& into) {
    std::int64_t count = into.count();
    read(name, count);
    into = Milliseconds(count);
  }
  template <class T, std::size_t size>
  void read(const char* name, const Word<T> (&words)[size], T& into) {
    std::string text;
    read(name, text);
    if (text.empty()) return;
    for (const Word<T>& word : words) {
      if (word.name == text) {
        into = word.value;
        return;
      }
    }
    fail(name, "one of the words of docs/falsim.md");
  }
  [[nodiscard]] const json* take(const char* name) {
    if (!object_.is_object() || !object_.contains(name)) return nullptr;
    ++taken_;
    return &object_[name];
  }
  [[nodiscard]] std::optional<std::string> finish() {
    if (fault_.empty() && taken_ != object_.size()) fail("has a member that falsim does not know");
    return fault_.empty() ? std::nullopt : std::optional(fault_);
  }
  void fail(std::string_view what) {
    if (fault_.empty()) fault_ = where_ + " " + std::string(what);
  }

 private:
  [[nodiscard]] bool take_back(const char* name) const {
    return object_.is_object() && object_.contains(name);
  }
  void fail(const char* name, const char* wanted) {
    fail(std::string(".") + name + " must be " + wanted);
  }

  const json& object_;
  std::string where_;
  std::string fault_;
  std::size_t taken_ = 0;
};

std::optional<std::string> read_answer(const json& value, Answer& answer) {
  Reader reader(value, "answer");
  reader.read("status", answer.status);
  reader.read("body", answer.body);
  reader.read("content_type", answer.content_type);
  reader.read("from_fal", answer.from_fal);
  if (const json* headers = reader.take("headers")) {
    for (const auto& [name, text] : headers->items()) {
      if (!text.is_string()) {
        reader.fail(".headers must hold strings");
      } else {
        answer.headers.add(name, text.get<std::string>());
      }
    }
  }
  return reader.finish();
}

std::optional<std::string> read_change(const json& value, JobChange& change) {
  Reader reader(value, "job");
  reader.read("queue_time", change.queue_time);
  reader.read("job_time", change.job_time);
  reader.read("error", change.error);
  reader.read("error_type", change.error_type);
  reader.read("ignores_cancel", change.ignores_cancel);
  reader.read("elsewhere_status", change.elsewhere_status);
  reader.read("elsewhere_result", change.elsewhere_result);
  reader.read("elsewhere_cancel", change.elsewhere_cancel);
  reader.read("elsewhere_images", change.elsewhere_images);
  if (const json* result = reader.take("result")) {
    if (auto fault = read_answer(*result, change.result.emplace())) return fault;
  }
  return reader.finish();
}

}  // namespace

std::string_view name_of(Step value) noexcept { return name_in(steps, value); }
std::string_view name_of(Wire value) noexcept { return name_in(wires, value); }

Result<Fault> fault_from_json(const json& value) {
  const auto refuse = [](std::string message) {
    return Error{ErrorKind::invalid_value, std::move(message)};
  };
  Reader reader(value, "fault");
  std::string preset;
  reader.read("preset", preset);
  std::optional<Fault> fault = preset.empty() ? Fault{} : Fault::preset(preset);
  if (!fault) return refuse("fault.preset: there is no preset '" + preset + "'");
  reader.read("name", fault->name);
  reader.read("step", steps, fault->step);
  reader.read("key", fault->key);
  reader.read("endpoint", fault->endpoint);
  reader.read("prompt", fault->prompt);
  reader.read("skip", fault->skip);
  reader.read("times", fault->times);
  reader.read("chance", fault->chance);
  reader.read("wire", wires, fault->wire);
  reader.read("processed", fault->processed);
  reader.read("delay", fault->delay);
  reader.read("drip_bytes", fault->drip_bytes);
  reader.read("drip_tick", fault->drip_tick);
  reader.read("cut_after", fault->cut_after);
  reader.read("elsewhere_upload", fault->elsewhere_upload);
  if (const json* answer = reader.take("answer")) {
    if (auto wrong = read_answer(*answer, fault->answer.emplace()))
      return refuse(*std::move(wrong));
  }
  if (const json* job = reader.take("job")) {
    if (auto wrong = read_change(*job, fault->job)) return refuse(*std::move(wrong));
  }
  if (auto wrong = reader.finish()) return refuse(*std::move(wrong));
  return *std::move(fault);
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DeskStats, requests, connections, connections_open,
                                   broken_requests, submits, submits_refused, runs, runs_abandoned,
                                   in_queue, in_progress, most_in_progress, completed, failed,
                                   cancelled, results_fetched, result_requests, results_too_early,
                                   status_polls, streams, streams_open, cancels_late,
                                   cancels_unknown, document_requests, uploads, media_requests,
                                   unknown_paths, misplaced_keys, foreign_keys, elsewhere,
                                   unknown_inputs, requests_by_key, faults, forgotten)

std::string to_json(const DeskStats& stats) { return dump(json(stats)); }

void Service::serve_control(ExchangeId exchange, const DeskRequest& request) {
  const std::string_view what =
      std::string_view(request.path).substr(std::string_view("/_falsim/").size());
  if (what == "faults") return control_faults(exchange, request);
  if (what == "stats" && request.method == "DELETE") {
    reset_stats();
    return answers_.json(exchange, 200, json::object(), {});
  }
  if (what == "stats") {
    return answers_.reply(exchange, DeskReply{.headers = {{"content-type", "application/json"}},
                                              .body = Body(to_json(stats()))});
  }
  if (what == "submits") {
    json list = json::array();
    for (const SeenSubmit& seen : desk_.submits()) {
      list.push_back({{"request_id", seen.request_id},
                      {"endpoint", seen.endpoint},
                      {"input", seen.input},
                      {"status", seen.status}});
    }
    return answers_.json(exchange, 200, list, {});
  }
  answers_.problem(exchange, 404, "falsim has stats, submits and faults here", {});
}

void Service::control_faults(ExchangeId exchange, const DeskRequest& request) {
  if (request.method == "DELETE") {
    faults_.clear();
    return answers_.json(exchange, 200, json::object(), {});
  }
  json body = json::parse(request.body, nullptr, false);
  if (request.method != "POST" || body.is_discarded()) {
    return answers_.problem(exchange, 400,
                            "POST one fault or an array of faults as JSON, or DELETE them", {});
  }
  if (!body.is_array()) body = json::array({std::move(body)});
  std::vector<Fault> faults;
  for (const json& entry : body) {
    Result<Fault> fault = fault_from_json(entry);
    if (!fault) return answers_.problem(exchange, 400, fault.error().message, {});
    faults.push_back(*std::move(fault));
  }
  for (Fault& fault : faults) faults_.add(std::move(fault));
  answers_.json(exchange, 200, {{"faults", faults.size()}}, {});
}

}  // namespace falproxy::inline v0::testing
