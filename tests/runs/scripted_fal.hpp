// scripted_fal.hpp: a small fal in virtual time, and a runner over it.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/runner.hpp"
#include "falproxy/test_doubles.hpp"
#include "support/model_documents.hpp"
#include "support/pictures.hpp"

namespace falproxy::inline v0::testing {

inline fal::EndpointId endpoint_id(std::string_view text) { return *fal::EndpointId::parse(text); }

inline CatalogModel catalog_model(std::string name, std::string_view endpoint,
                                  std::string_view edit_endpoint = {}) {
  CatalogModel model{std::move(name), endpoint_id(endpoint), std::nullopt, {}};
  if (!edit_endpoint.empty()) model.edit_endpoint = endpoint_id(edit_endpoint);
  return model;
}

inline Wish request_for(std::string model, std::string prompt = "a fox") {
  Wish request;
  request.model = std::move(model);
  request.prompt = std::move(prompt);
  return request;
}

/// Answers as fal does: documents, queue, results, CDN, storage. Jobs take `job_time` of the clock
/// that is given.
class ScriptedFal {
 public:
  explicit ScriptedFal(const Clock& clock) : clock_(clock) {}

  struct Job {
    std::string id, endpoint, key, input;
    TimePoint submitted;
    bool cancelled = false;
    int fetched = 0;
    int streams = 0;
  };

  Milliseconds job_time{1000};
  /// Asked first; none: the usual answer.
  std::function<std::optional<Script>(const HttpRequest&)> fault;
  std::map<std::string, std::string> documents;
  /// A job's result, as JSON.
  std::function<std::string(const Job&)> result = [](const Job& job) {
    return R"({"images":[{"url":"https://v3.fal.media/files/)" + job.id +
           R"(.png","content_type":"image/png"}]})";
  };
  std::string picture = tests::whole_png(64, 48);
  std::vector<Job> jobs;
  std::vector<std::string> uploads;  ///< bytes that were PUT
  std::vector<std::string>
      keys_to_strangers;  ///< requests outside queue, run and rest that carried a key

  Script serve(const HttpRequest& request) {
    const bool strange = !request.url.starts_with("https://queue.fal.run/") &&
                         !request.url.starts_with("https://fal.run/") &&
                         !request.url.starts_with("https://rest.fal.ai/");
    if (strange && request.headers.find("authorization").has_value()) {
      keys_to_strangers.push_back(request.url);
    }
    if (fault) {
      if (std::optional<Script> script = fault(request)) return *std::move(script);
    }
    if (request.url.starts_with("https://fal.ai/api/openapi")) return document(request);
    if (request.url.starts_with("https://rest.fal.ai/storage/upload/initiate")) {
      const std::string name = std::to_string(++initiated_);
      return answer(200, R"({"upload_url":"https://v3.fal.media/put/)" + name +
                             R"(","file_url":"https://v3.fal.media/files/up)" + name + R"(.png"})");
    }
    if (request.method == "PUT" && request.url.starts_with("https://v3.fal.media/put/")) {
      uploads.push_back(request.body.str());
      return answer(200, "");
    }
    if (request.url.starts_with("https://v3.fal.media/files/")) {
      return answer(
          200, picture,
          {{"content-type", "image/png"}, {"content-length", std::to_string(picture.size())}});
    }
    if (request.url.starts_with("https://fal.run/")) return run(request);
    if (request.url.starts_with("https://queue.fal.run/")) return queue(request);
    return answer(404, "nobody is here");
  }

  [[nodiscard]] std::size_t count_cancelled() const {
    std::size_t count = 0;
    for (const Job& job : jobs) count += job.cancelled ? 1U : 0U;
    return count;
  }
  [[nodiscard]] std::size_t count_fetched() const {
    std::size_t count = 0;
    for (const Job& job : jobs) count += job.fetched > 0 ? 1U : 0U;
    return count;
  }

 private:
  Script document(const HttpRequest& request) {
    const std::string endpoint = request.url.substr(request.url.find("endpoint_id=") + 12);
    const auto found = documents.find(endpoint);
    if (found == documents.end()) return answer(404, "{}");
    return answer(200, found->second);
  }

  Job& begin(const HttpRequest& request, std::string endpoint) {
    jobs.push_back({.id = "job-" + std::to_string(jobs.size() + 1),
                    .endpoint = std::move(endpoint),
                    .key = std::string(request.headers.find("authorization").value_or("")),
                    .input = request.body.str(),
                    .submitted = clock_.now()});
    return jobs.back();
  }

  Script run(const HttpRequest& request) {
    std::string endpoint = request.url.substr(std::string("https://fal.run/").size());
    const bool stream = endpoint.ends_with("/stream");
    Job& job = begin(request, endpoint);
    ++job.fetched;
    const HttpHeaders headers = {
        {"x-fal-request-id", job.id},
        {"content-type", stream ? "text/event-stream" : "application/json"}};
    if (!stream) return {.headers = headers, .chunks = {{job_time, result(job)}}};
    Script script{.headers = headers};
    for (int step = 0; step < 3; ++step) {
      script.chunks.push_back({job_time / 3, "data: " + result(job) + "\n\n"});
    }
    return script;
  }

  Script queue(const HttpRequest& request) {
    const std::string path = request.url.substr(std::string("https://queue.fal.run/").size());
    const std::size_t marker = path.find("/requests/");
    if (marker == std::string::npos) return submit(request, path);
    const std::string rest = path.substr(marker + 10);
    const std::string id = rest.substr(0, rest.find('/'));
    const std::string what = rest.size() > id.size() ? rest.substr(id.size() + 1) : "";
    for (Job& job : jobs) {
      if (job.id != id) continue;
      if (what == "status") return status(job);
      if (what == "status/stream") return status_stream(job);
      if (what == "cancel") {
        if (left(job) == 0ms) return answer(400, R"({"status":"ALREADY_COMPLETED"})");
        job.cancelled = true;
        return answer(202, R"({"status":"CANCELLATION_REQUESTED"})");
      }
      if (what.empty()) {
        ++job.fetched;
        return answer(200, result(job),
                      {{"x-fal-request-id", job.id}, {"x-fal-billable-units", "1"}});
      }
    }
    return answer(404, R"({"status":"NOT_FOUND"})");
  }

  Script submit(const HttpRequest& request, const std::string& endpoint) {
    const Job& job = begin(request, endpoint);
    const std::string app = endpoint.substr(0, endpoint.find('/', endpoint.find('/') + 1));
    const std::string url = "https://queue.fal.run/" + app + "/requests/" + job.id;
    const nlohmann::json body = {{"status", "IN_QUEUE"},          {"request_id", job.id},
                                 {"response_url", url},           {"status_url", url + "/status"},
                                 {"cancel_url", url + "/cancel"}, {"queue_position", 2}};
    return answer(200, body.dump());
  }

  [[nodiscard]] Milliseconds left(const Job& job) const {
    const auto passed = std::chrono::duration_cast<Milliseconds>(clock_.now() - job.submitted);
    return std::max(job_time - passed, Milliseconds(0));
  }

  [[nodiscard]] Script status(const Job& job) const {
    if (left(job) == 0ms) {
      return answer(200, R"({"status":"COMPLETED","metrics":{"inference_time":0.5}})");
    }
    return answer(202, R"({"status":"IN_PROGRESS","logs":null})");
  }

  [[nodiscard]] Script status_stream(Job& job) const {
    ++job.streams;
    const Milliseconds half = left(job) / 2;
    return {
        .headers = {{"content-type", "text/event-stream"}},
        .chunks = {{0ms, "data: {\"status\":\"IN_QUEUE\",\"queue_position\":1}\n\n"},
                   {half, ": ping\n\ndata: {\"status\":\"IN_PROGRESS\",\"logs\":[]}\n\n"},
                   {left(job) - half,
                    "data: {\"status\":\"COMPLETED\",\"metrics\":{\"inference_time\":0.5}}\n\n"}},
        .silent = true};
  }

  const Clock& clock_;
  int initiated_ = 0;
};

/// A runner over a scripted fal: two accounts, a model "flux" that takes a prompt, a seed and a
/// size.
struct GatewayWorld {
  explicit GatewayWorld(std::vector<CatalogModel> models = {catalog_model("flux",
                                                                          "fal-ai/flux/dev")},
                        Runner::Options options = {}, Executor* runs_on = nullptr)
      : fal(clock),
        transport(clock, [this](const HttpRequest& request) { return fal.serve(request); }),
        keys({{Secret("key-a:secret-a")}, {Secret("key-b:secret-b")}}, {}, [] { return 0.5; }),
        catalog({transport, clock, inline_executor, nullptr, [] { return 0.5; }, {}}, {},
                std::move(models), {}),
        runner({.transport = transport,
                .clock = clock,
                .executor = runs_on == nullptr ? inline_executor : *runs_on,
                .codecs = codecs,
                .keys = keys,
                .catalog = catalog,
                .masks = nullptr,
                .random = [this] { return random; },
                .memory = &memory,
                .log = [this](LogLevel level, std::string_view line) { note_log(level, line); }},
               with_debug(with_hosts(std::move(options)))) {
    fal.documents["fal-ai/flux/dev"] =
        model_document("fal-ai/flux/dev",
                       R"({"prompt":{"type":"string"},"seed":{"type":"integer"},)"
                       R"("image_size":{"type":"string","enum":["square_hd","landscape_4_3"]}})");
  }

  static Runner::Options with_hosts(Runner::Options options) {
    options.media_hosts = *fal::MediaHosts::parse("fal.media,*.fal.media");
    return options;
  }
  Runner::Options with_debug(Runner::Options options) {
    options.debug = [this](std::string_view line) { note_debug(line); };
    return options;
  }

  Outcome handle(Wish request, CallContext context = {}) {
    if (context.deadline == TimePoint()) context.deadline = clock.now() + 600s;
    return runner.handle(std::move(request), context);
  }
  /// Of all accounts.
  [[nodiscard]] int leases() const {
    int leases = 0;
    for (const AccountStatus& account : keys.status(clock.now())) leases += account.leases;
    return leases;
  }
  /// Nothing is held, and every submit is accounted for.
  void check_closed() const {
    CHECK(leases() == 0);
    const Runner::Counters c = runner.counters();
    CHECK(c.submits == c.repeated + c.results + c.cancels + c.failures + c.abandoned);
    CHECK(c.streams_held == 0);
    CHECK(fal.keys_to_strangers.empty());
    for (const std::string& line : debug_lines) CHECK(line.find("secret") == std::string::npos);
    for (const std::string& line : log_lines) CHECK(line.find("secret") == std::string::npos);
  }

  MemoryBudget memory{SIZE_MAX};
  double random = 0.5;  ///< what the runner draws
  VirtualClock clock;
  ScriptedFal fal;
  ScriptedTransport transport;
  InlineExecutor inline_executor;
  PlainCodecs codecs;
  KeyRing keys;
  Catalog catalog;
  std::mutex lines_mutex;
  std::vector<std::string> debug_lines;
  std::vector<std::string> log_lines;  ///< "info ..." or "warning ..."
  Runner runner;

 private:
  void note_debug(std::string_view line) {
    const std::lock_guard lock(lines_mutex);
    debug_lines.emplace_back(line);
  }
  void note_log(LogLevel level, std::string_view line) {
    const std::lock_guard lock(lines_mutex);
    log_lines.push_back((level == LogLevel::warning ? "warning " : "info ") + std::string(line));
  }
};

inline std::string base64(std::string_view bytes) {
  std::string text;
  PlainCodecs().encode_base64(bytes, text);
  return text;
}

inline Wish in_base64(Wish request) {
  request.response_format = ResponseFormat::b64_json;
  return request;
}

inline InputFile picture_of(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  InputFile image;
  image.bytes = *owner;
  image.owner = std::move(owner);
  return image;
}

inline Wish edit_of(std::string model, std::vector<InputFile> images) {
  Wish request = request_for(std::move(model));
  request.intent = Intent::edit;
  request.images = std::move(images);
  return request;
}

inline const char* const edit_properties =
    R"({"prompt":{"type":"string"},"image_url":{"type":"string"},"mask_url":{"type":"string"}})";

/// Its one model takes a picture and a mask.
struct EditWorld : GatewayWorld {
  explicit EditWorld(Runner::Options options = {})
      : GatewayWorld({catalog_model("edit", "fal-ai/edit")}, std::move(options)) {
    fal.documents["fal-ai/edit"] = model_document("fal-ai/edit", edit_properties);
  }
};

inline std::string only_content(const Outcome& outcome) {
  REQUIRE(outcome.response);
  REQUIRE(outcome.response->size() == 1);
  return outcome.response->at(0).content.str();
}

/// Fails the requests whose URL holds `part`, `times` times.
inline auto fail_on(std::string part, Script script, int times = 1'000'000) {
  return [part = std::move(part), script = std::move(script),
          times](const HttpRequest& request) mutable -> std::optional<Script> {
    if ((request.method + " " + request.url).find(part) == std::string::npos || times == 0)
      return std::nullopt;
    --times;
    return script;
  };
}

/// Fails the fetch of the result of one job.
inline auto fail_result(Script script, int job = 1) {
  return [script = std::move(script), end = "/requests/job-" + std::to_string(job)](
             const HttpRequest& request) -> std::optional<Script> {
    if (!request.url.ends_with(end)) return std::nullopt;
    return script;
  };
}

inline const Script content_refused = answer(
    422, R"({"detail":[{"loc":["body","prompt"],"msg":"no","type":"content_policy_violation"}]})");

}  // namespace falproxy::inline v0::testing
