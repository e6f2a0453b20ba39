#include "job_desk.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <utility>

#include "decimal.hpp"
#include "tariff.hpp"
#include "videos.hpp"

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;

constexpr std::size_t remembered_submits = 10'000;
constexpr std::size_t remembered_bytes = 256u << 20;
constexpr int video_steps = 20;

std::string timestamp(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count() %
      1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  const std::string fraction = std::to_string(1'000'000 + micros).substr(1);
  return std::string(text.data(), size) + "." + fraction;
}

std::optional<double> start_timeout(const DeskRequest& request) {
  // The old name loses if both are sent.
  std::string_view text = request.header("x-fal-request-start-timeout");
  if (text.empty()) text = request.header("x-fal-request-timeout");
  const double seconds = number_at_front(text);
  return seconds > 0.1 ? std::optional(seconds) : std::nullopt;
}

bool makes_video(const Job& job) { return plan_video(*job.model, job.input).has_value(); }

// As tqdm does.
std::string bar_of(int step, double seconds) {
  std::string bar;
  for (int i = 0; i < 10; ++i) bar += i < step * 10 / video_steps ? "\u2588" : " ";
  const int passed = static_cast<int>(seconds);
  const int left = step > 0 ? static_cast<int>(seconds / step * (video_steps - step)) : 0;
  std::array<char, 160> line{};
  std::snprintf(line.data(), line.size(), "%3d%%|%s| %d/%d [%02d:%02d<%02d:%02d, %5.2fs/it]",
                step * 100 / video_steps, bar.c_str(), step, video_steps, passed / 60, passed % 60,
                left / 60, left % 60, step > 0 ? seconds / step : 0.0);
  return line.data();
}

json failure_body(const Outcome& outcome) {
  json body = {{"detail", outcome.error}};
  if (!outcome.error_type.empty()) body["error_type"] = outcome.error_type;
  return body;
}

}  // namespace

json logs_of(const Job& job, TimePoint now) {
  json logs = json::array();
  if (job.state == JobState::in_queue || job.calendar_started == decltype(job.calendar_started){})
    return logs;
  const auto line = [&](std::chrono::nanoseconds after, std::string message) {
    const auto time = job.calendar_started +
                      std::chrono::duration_cast<std::chrono::system_clock::duration>(after);
    logs.push_back({{"message", std::move(message)},
                    {"timestamp", timestamp(time)},
                    {"level", "INFO"},
                    {"source", "USER"},
                    {"labels", json::object()}});
  };
  line(std::chrono::nanoseconds(0), "Painting hills, a sun and balloons");
  if (makes_video(job)) {
    constexpr std::string_view full =
        "\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588\u2588";
    line(std::chrono::nanoseconds(0), "Loading pipeline components...: 100%|" + std::string(full) +
                                          "| 7/7 [00:00<00:00, 12.50it/s]");
    const auto passed = (job.state == JobState::completed ? job.ended : now) - job.started;
    for (int step = 0; step <= video_steps; ++step) {
      const std::chrono::nanoseconds due =
          std::chrono::nanoseconds(job.job_time) * step / video_steps;
      if (due > passed) break;
      line(due, bar_of(step, std::chrono::duration<double>(due).count()));
    }
  }
  if (job.state == JobState::completed) line(job.ended - job.started, "Done");
  return logs;
}

JobDesk::JobDesk(Timeline& timeline, Answers& answers, Storage& storage, DeskStats& stats,
                 const Models& models, const DeskOptions& options)
    : timeline_(timeline),
      answers_(answers),
      storage_(storage),
      stats_(stats),
      models_(models),
      options_(options),
      queue_time_(options.queue_time),
      job_time_(options.job_time),
      queue_(timeline, stats, options.slots_per_key,
             [this](const std::shared_ptr<Job>& job) { changed(job); }) {}

void JobDesk::set_times(Milliseconds queue_time, Milliseconds job_time) {
  queue_time_ = queue_time;
  job_time_ = job_time;
}

const Model* JobDesk::model_of(const Route& route) const {
  if (route.step != Step::model_stream) return models_.find(route.endpoint);
  if (const Model* itself = models_.find(route.endpoint)) return itself;  // fal-ai/flux-lora/stream
  const std::string_view endpoint =
      route.endpoint.substr(0, route.endpoint.size() - std::string_view("/stream").size());
  const bool streams = std::find(options_.streaming.begin(), options_.streaming.end(), endpoint) !=
                       options_.streaming.end();
  return streams ? models_.find(endpoint) : nullptr;
}

void JobDesk::remember(const Visit& visit, std::string_view endpoint, std::string request_id,
                       int status) {
  SeenSubmit seen{std::move(request_id), std::string(endpoint), visit.key,
                  visit.request.body,    visit.request.headers, status};
  if (status >= 400) ++stats_.submits_refused;
  submits_bytes_ += seen.input.size();
  submits_.push_back(std::move(seen));
  while (submits_.size() > remembered_submits ||
         (submits_bytes_ > remembered_bytes && submits_.size() > 1)) {
    submits_bytes_ -= submits_.front().input.size();
    submits_.pop_front();
  }
}

std::shared_ptr<Job> JobDesk::make_job(const Visit& visit, const Model& model, json input,
                                       const JobChange& change) {
  for (const std::string& name : unknown_inputs(model, input))
    ++stats_.unknown_inputs[model.endpoint() + "#" + name];
  auto job = std::make_shared<Job>();
  job->model = &model;
  job->app = app_of(model.endpoint());
  job->key = visit.key;
  job->prompt = prompt_of(input);
  job->seed = seed_of(input, static_cast<std::int64_t>(next_seed_++));
  job->input = std::move(input);
  job->change = change;
  const std::string_view wished = visit.request.header("x-fal-object-lifecycle-preference");
  for (const char* const access : {"forbid", "hide"}) {
    if (wished.find("\"default\":\"" + std::string(access) + "\"") != std::string_view::npos)
      job->access = access;
  }
  job->queue_time = change.queue_time.value_or(queue_time_);
  job->job_time = change.job_time.value_or(job_time_);
  return job;
}

void JobDesk::submit(const Visit& visit, const Model& model, json input, const JobChange& change) {
  if (const auto longest = visit.request.parameter("fal_max_queue_length")) {
    const std::size_t waiting = queue_.waiting(app_of(model.endpoint()));
    std::size_t most = waiting;
    std::from_chars(longest->data(), longest->data() + longest->size(), most);
    if (waiting > most) {
      remember(visit, model.endpoint(), {}, 429);
      return answers_.problem(visit.exchange, 429,
                              "The queue of this endpoint is longer than fal_max_queue_length", {});
    }
  }
  const std::shared_ptr<Job> job = make_job(visit, model, std::move(input), change);
  ++stats_.submits;
  queue_.submit(job, start_timeout(visit.request));
  remember(visit, model.endpoint(), job->id, 200);
  json body = status_of(*job, visit.origin);
  body["status"] = "IN_QUEUE";
  body["queue_position"] = queue_.position(*job);
  answers_.json(visit.exchange, 200, body, job->id);
}

void JobDesk::run(const Visit& visit, const Model& model, json input, const JobChange& change) {
  if (!queue_.has_slot(visit.key)) {
    remember(visit, model.endpoint(), {}, 429);
    const std::string limit = std::to_string(options_.slots_per_key);
    return answers_.json(visit.exchange, 429,
                         {{"detail", "Reached concurrent requests limit of " + limit},
                          {"type", "concurrent_requests_limit"}},
                         {}, {{"x-fal-needs-retry", "1"}});
  }
  const std::shared_ptr<Job> job = make_job(visit, model, std::move(input), change);
  job->direct = true;
  ++stats_.runs;
  const TimePoint begun = timeline_.now();  // not after the job's own begin
  queue_.submit(job, start_timeout(visit.request));
  remember(visit, model.endpoint(), job->id, 200);
  const bool streams = visit.route.step == Step::model_stream;
  if (streams && !answers_.open_events(visit.exchange, job->id)) return;
  hold(visit.exchange, {.job = job, .step = visit.route.step, .origin = visit.origin});
  if (streams) partial_later(visit.exchange, 1, begun);
  tell(visit.exchange);
}

json JobDesk::status_of(const Job& job, const std::string& origin) const {
  const auto address = [&](bool elsewhere) {
    return (elsewhere ? elsewhere_ : origin) + "/" + job.app + "/requests/" + job.id;
  };
  json status = {{"request_id", job.id},
                 {"response_url", address(job.change.elsewhere_result)},
                 {"status_url", address(job.change.elsewhere_status) + "/status"},
                 {"cancel_url", address(job.change.elsewhere_cancel) + "/cancel"},
                 {"logs", nullptr},
                 {"metrics", json::object()}};
  switch (job.state) {
    case JobState::in_queue:
      status["status"] = "IN_QUEUE";
      status["queue_position"] = queue_.position(job);
      break;
    case JobState::in_progress:
      status["status"] = "IN_PROGRESS";
      break;
    case JobState::completed:
      status["status"] = "COMPLETED";
      status["metrics"]["inference_time"] = job.inference_seconds(timeline_.now());
      if (!job.outcome->error.empty()) status["error"] = job.outcome->error;
      if (!job.outcome->error_type.empty()) status["error_type"] = job.outcome->error_type;
  }
  return status;
}

void JobDesk::status(const Visit& visit, const std::shared_ptr<Job>& job) {
  ++stats_.status_polls;
  json body = status_of(*job, visit.origin);
  if (visit.request.parameter("logs") == "1") body["logs"] = logs_of(*job, timeline_.now());
  answers_.json(visit.exchange, job->state == JobState::completed ? 200 : 202, body, job->id);
}

void JobDesk::status_stream(const Visit& visit, const std::shared_ptr<Job>& job) {
  ++stats_.streams;
  if (!answers_.open_events(visit.exchange, job->id)) return;
  hold(visit.exchange,
       {.job = job, .origin = visit.origin, .logs = visit.request.parameter("logs") == "1"});
  tell(visit.exchange);
  ping_later(visit.exchange);
}

void JobDesk::hold(ExchangeId exchange, Held held) {
  watchers_[held.job.get()].push_back(exchange);
  if (held.step == Step::status_stream) ++stats_.streams_open;
  held_.emplace(exchange, std::move(held));
}

void JobDesk::release(ExchangeId exchange) {
  const auto found = held_.find(exchange);
  if (found == held_.end()) return;
  if (found->second.step == Step::status_stream) --stats_.streams_open;
  if (const auto watchers = watchers_.find(found->second.job.get()); watchers != watchers_.end()) {
    std::erase(watchers->second, exchange);
    if (watchers->second.empty()) watchers_.erase(watchers);
  }
  held_.erase(found);
}

void JobDesk::gone(ExchangeId exchange) {
  const auto found = held_.find(exchange);
  if (found == held_.end()) return;
  if (found->second.step != Step::status_stream) ++stats_.runs_abandoned;
  release(exchange);
}

void JobDesk::changed(const std::shared_ptr<Job>& job) {
  const auto watchers = watchers_.find(job.get());
  if (watchers == watchers_.end()) return;
  const std::vector<ExchangeId> exchanges = watchers->second;  // tell() may release
  for (const ExchangeId exchange : exchanges) tell(exchange);
}

void JobDesk::tell(ExchangeId exchange) {
  const auto found = held_.find(exchange);
  if (found == held_.end()) return;
  if (found->second.step == Step::status_stream) {
    tell_stream(exchange, found->second);
  } else if (found->second.job->state == JobState::completed) {
    const Held held = found->second;
    release(exchange);
    tell_run(exchange, held);
  }
}

void JobDesk::tell_stream(ExchangeId exchange, Held& held) {
  json event = status_of(*held.job, held.origin);
  if (held.logs) {  // in the stream, logs are what came since the last event
    json logs = logs_of(*held.job, timeline_.now());
    const std::size_t count = logs.size();
    logs.erase(logs.begin(),
               logs.begin() + static_cast<std::ptrdiff_t>(std::min(held.logs_sent, count)));
    held.logs_sent = count;
    event["logs"] = std::move(logs);
    step_later(exchange, *held.job);
  }
  const bool completed = held.job->state == JobState::completed;
  const bool goes_on =
      answers_.event(exchange, event);  // may call gone(): `held` is not touched after this
  if (goes_on && completed) answers_.close_events(exchange);
  if (completed || !goes_on) release(exchange);
}

// Tells the next step of a video once it is done; the end tells itself.
void JobDesk::step_later(ExchangeId exchange, const Job& job) {
  const TimePoint::duration step = TimePoint::duration(job.job_time) / video_steps;
  if (job.state != JobState::in_progress || step <= step.zero() || !makes_video(job)) return;
  const TimePoint next = job.started + ((timeline_.now() - job.started) / step + 1) * step;
  if (next < job.started + job.job_time) timeline_.at(next, [this, exchange] { tell(exchange); });
}

void JobDesk::ping_later(ExchangeId exchange) {
  if (!held_.contains(exchange)) return;
  timeline_.at(timeline_.now() + options_.ping_interval, [this, exchange] {
    if (held_.contains(exchange) && answers_.comment(exchange)) ping_later(exchange);
  });
}

void JobDesk::tell_run(ExchangeId exchange, const Held& held) {
  DeskReply reply = result_of(*held.job, held.origin);
  if (held.step == Step::run) return answers_.reply(exchange, std::move(reply));
  json last = json::parse(reply.body.str(), nullptr, false);
  if (answers_.event(exchange, last)) answers_.close_events(exchange);
}

void JobDesk::partial_later(ExchangeId exchange, int number, TimePoint before) {
  const auto found = held_.find(exchange);
  if (found == held_.end() || number > options_.stream_partials) return;
  const Job& job = *found->second.job;
  // From when the one before was due, not from when it came: a late loop still gives all of them
  // before the job ends.
  const TimePoint due = before + job.job_time / (options_.stream_partials + 1);
  timeline_.at(due, [this, exchange, number, due] {
    const auto still = held_.find(exchange);
    if (still == held_.end()) return;
    const Held held = still->second;
    if (answers_.event(
            exchange, picture_result(*held.job, held.origin, static_cast<std::uint32_t>(number)))) {
      partial_later(exchange, number + 1, due);
    } else {
      release(exchange);
    }
  });
}

json JobDesk::picture_result(const Job& job, const std::string& origin,
                             std::uint32_t variant_shift) {
  // As everything else of a file, who may have it stands in its name.
  const std::string name = job.access.empty() ? job.id : job.access + "." + job.id;
  if (std::optional<json> heard = write_transcript(*job.model, job.input)) return *std::move(heard);
  if (const std::optional<Sound> sound = plan_sound(*job.model, job.input)) {
    const std::string& host = job.change.elsewhere_images ? elsewhere_ : origin;
    return write_sound(*sound, Storage::address(host, name, *sound));
  }
  if (const std::optional<Video> video = plan_video(*job.model, job.input)) {
    const std::string& host = job.change.elsewhere_images ? elsewhere_ : origin;
    json result = write_video(*video, Storage::address(host, name, *video), job.seed);
    Picture still{.width = video->width, .height = video->height, .variant = video->variant};
    std::uint32_t number = 0;
    for (const std::string beside : {"thumbnail", "spritesheet"}) {
      const json::json_pointer place("/properties/" + beside);
      if (job.model->output().contains(place))
        result[beside] = {{"url", Storage::address(host, name, number, still)}};
      ++number;
      ++still.variant;
    }
    return result;
  }
  PicturePlan plan = plan_pictures(*job.model, job.input, job.seed);
  for (Picture& picture : plan.pictures) {
    picture.variant += variant_shift;
    if (!storage_.makes(picture.format)) picture.format = PictureFormat::png;
  }
  const std::string& host = job.change.elsewhere_images ? elsewhere_ : origin;
  return write_result(*job.model, job.input, plan,
                      {job.seed, job.inference_seconds(timeline_.now())},
                      [&](const Picture& picture, std::size_t index) {
                        return plan.data_uri ? storage_.data_uri(picture)
                                             : Storage::address(host, name, index, picture);
                      });
}

double JobDesk::units_of(const Job& job) const {
  Made made{.video = plan_video(*job.model, job.input),
            .sound = plan_sound(*job.model, job.input),
            .machine_seconds = job.inference_seconds(timeline_.now())};
  if (!made.video && !made.sound)
    made.pictures = plan_pictures(*job.model, job.input, job.seed).pictures;
  return billed_units(*job.model, job.input, made);
}

DeskReply JobDesk::result_of(const Job& job, const std::string& origin) {
  const Outcome& outcome = *job.outcome;
  DeskReply reply{.status = outcome.status, .headers = {{"x-fal-request-id", job.id}}};
  if (job.change.result && !job.cancelled) {
    reply.headers = job.change.result->headers;
    reply.headers.add("content-type", job.change.result->content_type);
    if (job.change.result->from_fal) reply.headers.add("x-fal-request-id", job.id);
    reply.body = Body(outcome.body);
    return reply;
  }
  reply.headers.add("content-type", "application/json");
  if (outcome.status < 400) {
    const json result = picture_result(job, origin, 0);
    const double units = units_of(job);
    const auto whole = static_cast<std::int64_t>(units);
    reply.headers.add("x-fal-billable-units", static_cast<double>(whole) == units
                                                  ? std::to_string(whole)
                                                  : json(units).dump());
    reply.body = Body(dump(result));
    return reply;
  }
  if (outcome.invalid_input) reply.headers.add("x-fal-billable-units", "0");
  if (outcome.user_timeout) reply.headers.add("x-fal-request-timeout-type", "user");
  if (!outcome.error_type.empty()) reply.headers.add("x-fal-error-type", outcome.error_type);
  reply.body = Body(outcome.body.empty() ? dump(failure_body(outcome)) : outcome.body);
  return reply;
}

void JobDesk::result(const Visit& visit, const std::shared_ptr<Job>& job) {
  ++stats_.result_requests;
  if (job->state != JobState::completed) {
    ++stats_.results_too_early;
    return answers_.problem(visit.exchange, 400, "Request is still in progress", job->id);
  }
  if (!std::exchange(job->fetched, true)) ++stats_.results_fetched;
  answers_.reply(visit.exchange, result_of(*job, visit.origin));
}

void JobDesk::cancel(const Visit& visit, const std::shared_ptr<Job>& job) {
  if (queue_.cancel(job))
    return answers_.json(visit.exchange, 202, {{"status", "CANCELLATION_REQUESTED"}}, job->id);
  ++stats_.cancels_late;
  answers_.json(visit.exchange, 400, {{"status", "ALREADY_COMPLETED"}}, job->id);
}

}  // namespace falproxy::inline v0::testing
