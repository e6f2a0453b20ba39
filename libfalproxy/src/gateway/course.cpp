#include "gateway/course.hpp"

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"
#include "gateway/faults.hpp"
#include "gateway/model_choice.hpp"
#include "gateway/pictures.hpp"
#include "gateway/uploads.hpp"

namespace falproxy::gateway {
namespace {

using Microseconds = std::chrono::microseconds;

// Adds the time until its end to one member of a receipt.
class Stopwatch {
 public:
  Stopwatch(const Clock& clock, Microseconds& total)
      : clock_(clock), total_(total), begin_(clock.now()) {}
  ~Stopwatch() { total_ += std::chrono::duration_cast<Microseconds>(clock_.now() - begin_); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  const Clock& clock_;
  Microseconds& total_;
  TimePoint begin_;
};

Route route_for(const World& world, const CatalogModel& model,
                const openai::ImageRequest& request) {
  if (model.settings.stream && request.stream) return Route::model_stream;
  switch (model.settings.completion.value_or(world.options.completion)) {
    case Completion::stream:
      return Route::queue_stream;
    case Completion::poll:
      return Route::queue_poll;
    case Completion::sync:
      return Route::run;
  }
  return Route::queue_stream;
}

// Data URIs that an operator or a client put into native fields would fill the log.
std::string without_data_uris(std::string text) {
  constexpr std::string_view start = "\"data:";
  for (std::size_t at = text.find(start); at != std::string::npos; at = text.find(start, at + 1)) {
    const std::size_t end = std::min(text.find('"', at + 1), text.size());
    const std::size_t shown = std::min(end, at + 40);
    text.replace(shown, end - shown, "...");
  }
  return text;
}

// One request at one model.
class Course {
 public:
  Course(const World& world, const CatalogModel& model, openai::ImageRequest& request,
         const Patience& patience, Progress* progress, Receipt& receipt)
      : world_(world),
        model_(model),
        request_(request),
        patience_(patience),
        progress_(progress),
        receipt_(receipt) {}

  /// `last`: no other model is tried afterwards, so that the request's images may be let go on the
  /// way.
  Result<openai::ImageResponse> run(bool last) {
    Result<PlannedRequest> planned = plan();
    if (!planned) return std::move(planned).error();
    Result<std::vector<Body>> inputs = make_inputs(planned->plan);
    if (!inputs) return std::move(inputs).error();
    if (last) {
      request_.images.clear();
      request_.mask.reset();
    }
    Result<std::vector<translate::FalResult>> results = run_jobs(*planned, std::move(*inputs));
    if (!results) return std::move(results).error();
    Result<openai::ImageResponse> response = answer(planned->plan, std::move(*results));
    if (!response) note_submitted(response.error());
    return response;
  }

 private:
  Result<PlannedRequest> plan() {
    Result<PlannedRequest> planned = [&] {
      const Stopwatch watch(world_.parts.clock, receipt_.map);
      return plan_request(world_, model_, request_, patience_.deadline(), patience_.stop());
    }();
    if (planned) {
      receipt_.notes.insert(receipt_.notes.end(), planned->plan.notes.begin(),
                            planned->plan.notes.end());
    }
    return planned;
  }

  // The inputs as fal reads them. The plan lets go of its own: nothing needs them while the job
  // runs.
  Result<std::vector<Body>> make_inputs(translate::FalPlan& plan) {
    const Stopwatch watch(world_.parts.clock, receipt_.upload);
    const Result<ImageAddresses> addresses =
        address_images(world_, request_, plan, patience_, receipt_.notes);
    if (!addresses) return addresses.error();
    std::vector<Body> inputs;
    for (translate::FalInput& job : plan.jobs) {
      world_.debug([&] { return "input: " + without_data_uris(job.input.dump()); });
      inputs.push_back(translate::render(job, addresses->images, addresses->mask));
      job.input = Json();
    }
    return inputs;
  }

  Result<std::vector<translate::FalResult>> run_jobs(const PlannedRequest& planned,
                                                     std::vector<Body> inputs) {
    const JobPolicy policy{.endpoint = planned.endpoint,
                           .queue = world_.options.fal.queue,
                           .route = route_for(world_, model_, request_),
                           .max_submit_attempts = world_.options.max_submit_attempts,
                           .deadline = patience_.deadline()};
    const std::vector<std::unique_ptr<Job>> jobs = gateway::run_jobs(
        world_, policy, std::move(inputs), patience_, progress_, partial_pictures(planned.plan));
    take_receipts(jobs);
    if (Job* failed = first_failed(jobs)) return failure(*failed, planned);
    std::vector<translate::FalResult> results;
    for (const std::unique_ptr<Job>& job : jobs) {
      Result<translate::FalResult> result = translate::read_result(std::move(job->end().result));
      if (!result) {
        Error error = std::move(result).error();
        note_submitted(error);
        return error;
      }
      results.push_back(std::move(*result));
    }
    return results;
  }

  // A job that was only cancelled because another failed is not the reason.
  static Job* first_failed(const std::vector<std::unique_ptr<Job>>& jobs) {
    Job* failed = nullptr;
    for (const std::unique_ptr<Job>& job : jobs) {
      if (job->end().result != nullptr) continue;
      if (failed == nullptr || (failed->end().error.kind == ErrorKind::cancelled &&
                                job->end().error.kind != ErrorKind::cancelled)) {
        failed = job.get();
      }
    }
    return failed;
  }

  Error failure(Job& failed, const PlannedRequest& planned) {
    Error error = std::move(failed.end().error);
    if (const std::optional<fal::Fault>& fault = failed.end().fault) {
      name_field(error, *fault, planned.plan);
      if (contradicts_document(*fault)) {
        world_.parts.catalog.contradicted(planned.endpoint, world_.parts.clock.now());
      }
    }
    for (const JobReceipt& job : receipt_.jobs) error.submitted = error.submitted || job.accepted;
    return error;
  }

  void note_submitted(Error& error) const {
    error.submitted = true;
    if (error.fal_request_id.empty() && !receipt_.jobs.empty()) {
      error.fal_request_id = receipt_.jobs.back().fal_request_id;
    }
  }

  // The times of a request are those of the job that took longest.
  void take_receipts(const std::vector<std::unique_ptr<Job>>& jobs) {
    const auto total = [](const JobReceipt& job) {
      return job.submit + job.queue + job.inference + job.result;
    };
    const JobReceipt* longest = &jobs.front()->receipt();
    for (const std::unique_ptr<Job>& job : jobs) {
      if (total(job->receipt()) > total(*longest)) longest = &job->receipt();
      receipt_.jobs.push_back(job->receipt());
    }
    receipt_.submit += longest->submit;
    receipt_.queue += longest->queue;
    receipt_.inference += longest->inference;
    receipt_.result += longest->result;
  }

  Result<openai::ImageResponse> answer(const translate::FalPlan& plan,
                                       std::vector<translate::FalResult> results) {
    const Stopwatch watch(world_.parts.clock, receipt_.media);
    const Result<translate::FalResult> merged =
        translate::merge(plan, std::move(results), world_.options.translate, receipt_.notes);
    if (!merged) return merged.error();
    Result<std::vector<Picture>> pictures =
        make_pictures(world_, merged->images, plan.response_format, patience_);
    if (!pictures) return std::move(pictures).error();

    std::vector<Body> contents;
    for (Picture& picture : *pictures) {
      receipt_.answer_bytes += picture.content.size();
      contents.push_back(std::move(picture.content));
    }
    receipt_.images = static_cast<int>(contents.size());
    openai::ImageResponse response =
        translate::to_openai(plan, *merged, std::move(contents), unix_seconds());
    if (!pictures->empty()) fill_in_what_was_seen(plan, pictures->front(), response);
    return response;
  }

  static void fill_in_what_was_seen(const translate::FalPlan& plan, const Picture& picture,
                                    openai::ImageResponse& response) {
    if (!response.size.has_value() && picture.dimensions.has_value()) {
      response.size = fmt::format("{}x{}", picture.dimensions->width, picture.dimensions->height);
    }
    const bool told = plan.output_format_sent && response.output_format.has_value();
    if (!told && picture.type.has_value()) {
      response.output_format = std::string(media::name_of(*picture.type));
    }
  }

  [[nodiscard]] std::int64_t unix_seconds() const {
    return std::chrono::duration_cast<std::chrono::seconds>(
               world_.parts.clock.wall_now().time_since_epoch())
        .count();
  }

  // What a model's own stream shows on the way; empty where nobody asked for it.
  OnPartial partial_pictures(const translate::FalPlan& plan) {
    const int wanted = request_.partial_images.value_or(0);
    if (progress_ == nullptr || wanted == 0) return {};
    return [this, &plan, wanted, shown = 0](std::shared_ptr<const std::string> body) mutable {
      if (shown >= wanted) return;
      const Result<translate::FalResult> result = translate::read_result(std::move(body));
      if (!result || result->images.empty()) return;
      Result<std::vector<Picture>> pictures =
          make_pictures(world_, {result->images.front()}, ResponseFormat::b64_json, patience_);
      if (!pictures) return;
      Picture& picture = pictures->front();
      openai::ImageEvent event;
      event.kind = openai::ImageEvent::Kind::partial_image;
      event.operation = plan.operation;
      event.b64_json = std::move(picture.content);
      event.partial_image_index = shown++;
      event.created_at = unix_seconds();
      event.size = plan.size.value_or("auto");
      if (picture.dimensions.has_value()) {
        event.size = fmt::format("{}x{}", picture.dimensions->width, picture.dimensions->height);
      }
      event.quality = plan.quality.value_or("auto");
      event.background = plan.background.value_or("auto");
      event.output_format = plan.output_format.value_or("png");
      if (picture.type.has_value())
        event.output_format = std::string(media::name_of(*picture.type));
      progress_->partial_image(event);
    };
  }

  const World& world_;
  const CatalogModel& model_;
  openai::ImageRequest& request_;
  const Patience& patience_;
  Progress* progress_;
  Receipt& receipt_;
};

Result<openai::ImageResponse> serve_with_fallbacks(const World& world,
                                                   openai::ImageRequest& request,
                                                   const Patience& patience, Progress* progress,
                                                   Receipt& receipt) {
  receipt.requested_model = request.model.value_or("");
  const Result<std::vector<CatalogModel>> candidates =
      find_models(world.parts.catalog, request, world.options.default_model);
  if (!candidates) return candidates.error();
  const std::vector<CatalogModel>& models = *candidates;
  if (!request.model.has_value()) request.model = models.front().name;

  std::optional<Error> first_error;
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (i > 0) receipt.notes.push_back(took_its_place(models[i - 1], models[i]));
    receipt.served_model = models[i].name;
    Course course(world, models[i], request, patience, progress, receipt);
    Result<openai::ImageResponse> response = course.run(i + 1 == models.size());
    if (response || !fallback_may_help(response.error())) return response;
    if (!first_error.has_value()) first_error = std::move(response).error();
    if (patience.stop().stop_requested()) break;
  }
  return *std::move(first_error);
}

}  // namespace

Outcome serve(const World& world, openai::ImageRequest request, const Patience& patience,
              Progress* progress) {
  Outcome outcome{Error{}, {}};
  {
    const Stopwatch watch(world.parts.clock, outcome.receipt.total);
    outcome.response = serve_with_fallbacks(world, request, patience, progress, outcome.receipt);
  }
  return outcome;
}

}  // namespace falproxy::gateway
