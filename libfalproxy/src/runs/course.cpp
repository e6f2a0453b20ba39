#include "runs/course.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/fmt.hpp"
#include "runs/faults.hpp"
#include "runs/gathering.hpp"
#include "runs/model_choice.hpp"
#include "runs/tab.hpp"
#include "runs/uploads.hpp"

namespace falproxy::inline v0::runs {
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

Route route_for(const World& world, const CatalogModel& model, const Wish& request) {
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

Underway underway_of(const Harvest& harvest) {
  Underway underway{.model = harvest.receipt.served_model,
                    .notes = harvest.receipt.notes,
                    .jobs = harvest.outputs.size()};
  for (const JobReceipt& job : harvest.receipt.jobs) {
    if (!job.fal_request_id.empty()) underway.fal_request_ids.push_back(job.fal_request_id);
  }
  return underway;
}

// One request at one model.
class Course {
 public:
  Course(const World& world, const CatalogModel& model, Wish& request, const Patience& patience,
         Progress* progress, Recorder& recorder, Served& served)
      : world_(world),
        model_(model),
        request_(request),
        patience_(patience),
        progress_(progress),
        recorder_(recorder),
        served_(served),
        receipt_(served.outcome.receipt),
        tab_(world, {recorder.asked().owner, model.name, recorder.asked().user}) {}

  /// `last`: no other model is tried afterwards, so that the request's images may be let go on the
  /// way. `earlier`: null, or what some of the jobs have brought.
  void run(bool last, const Harvest* earlier = nullptr) {
    // What was made and what is told of it stays true: the jobs that are open keep their seeds.
    const std::optional<double> chance = earlier != nullptr ? earlier->chance : draw(world_);
    const bool told = earlier != nullptr && !earlier->restored;
    Result<PlannedRequest> planned = plan(chance, !told);
    if (!planned) return fail(std::move(planned).error());
    const std::size_t jobs = planned->plan.jobs.size();
    if (earlier != nullptr && earlier->outputs.size() != jobs)
      return fail({ErrorKind::internal, "The model's document has changed."});
    if (Result<Done> paid = tab_.reserve(planned->endpoint, planned->plan, earlier); !paid)
      return fail(std::move(paid).error());
    Result<std::vector<Body>> inputs =
        is_all_taken(earlier) ? std::vector<Body>(jobs) : make_inputs(planned->plan);
    if (!inputs) return fail(std::move(inputs).error());
    auto harvest = std::make_shared<Harvest>();
    harvest->outputs.resize(jobs);
    if (earlier != nullptr) harvest->outputs = earlier->outputs;
    mappings_.mappings = std::exchange(planned->plan.mappings, {});
    harvest->chance = chance;
    harvest->plan = std::move(planned->plan);
    const ResponseFormat wanted = harvest->plan.response_format;
    // Who asks later fetches it then.
    if (recorder_.is_later()) harvest->plan.response_format = ResponseFormat::url;
    harvest->plan.jobs = {};
    harvest->plan.notes = {};
    served_.harvest = harvest;
    run_jobs(planned->endpoint, *std::move(inputs), wanted, last, *harvest);
  }

 private:
  void fail(Error error) { served_.outcome.response = std::move(error); }

  // Nothing is left to submit.
  static bool is_all_taken(const Harvest* earlier) {
    return earlier != nullptr && std::ranges::all_of(earlier->outputs, [](const JobOutput& output) {
             return output.is_to_follow || !output.is_open();
           });
  }

  Result<PlannedRequest> plan(std::optional<double> chance, bool tell) {
    Result<PlannedRequest> planned = [&] {
      const Stopwatch watch(world_.parts.clock, receipt_.map);
      const auto stage = world_.begin_stage("map");
      return plan_request(world_, model_, request_, chance, patience_.deadline(), patience_.stop());
    }();
    if (planned && tell) {
      receipt_.notes.insert(receipt_.notes.end(), planned->plan.notes.begin(),
                            planned->plan.notes.end());
    }
    return planned;
  }

  // The inputs as fal reads them. The plan lets go of its own: nothing needs them while the job
  // runs.
  Result<std::vector<Body>> make_inputs(plan::Plan& plan) {
    const Stopwatch watch(world_.parts.clock, receipt_.upload);
    const auto stage = world_.begin_stage("upload");
    const Result<ImageAddresses> addresses =
        address_images(world_, request_, plan, patience_, receipt_.notes);
    if (!addresses) return addresses.error();
    std::vector<Body> inputs;
    for (plan::JobInput& job : plan.jobs) {
      world_.debug([&] { return "input: " + without_data_uris(job.input.dump()); });
      inputs.push_back(plan::render(job, addresses->images, addresses->mask));
      job.input = Json();
    }
    return inputs;
  }

  // Runs the jobs that have not brought anything yet, and answers.
  void run_jobs(const fal::EndpointId& endpoint, std::vector<Body> inputs, ResponseFormat wanted,
                bool last, Harvest& harvest) {
    Gathering gathering(world_, harvest.plan, harvest.outputs.size(), patience_,
                        request_.stream ? progress_ : nullptr);
    underway_ = {.model = model_.name, .notes = receipt_.notes, .jobs = harvest.outputs.size()};
    std::vector<std::size_t> places;  // of the jobs that are run
    std::vector<JobStart> to_start;
    tab_.begin(harvest.outputs);
    const Intention intention{.wish = request_,
                              .requested_model = receipt_.requested_model,
                              .served_model = model_.name,
                              .endpoint = endpoint,
                              .chance = harvest.chance,
                              .plan = harvest.plan,
                              .wanted = wanted,
                              .inputs = inputs};
    if (const Noted noted = recorder_.intend(intention, harvest.outputs); noted != Noted::yes) {
      served_.harvest = nullptr;
      served_.is_elsewhere = noted == Noted::elsewhere;
      tab_.withdraw();
      return fail({.kind = ErrorKind::overloaded,
                   .message = "The request cannot be noted now, so it is not begun. Try again.",
                   .retry_after = Milliseconds(1000)});
    }
    const JobPolicy policy{.endpoint = endpoint,
                           .queue = world_.options.fal.queue,
                           .route = route_for(world_, model_, request_),
                           .preferences = harvest.plan.preferences,
                           .counted = !model_.settings.own_app,
                           .max_submit_attempts = world_.options.max_submit_attempts,
                           .deadline = patience_.deadline(),
                           .promised = recorder_.is_promised() && !recorder_.is_later(),
                           .reads_logs = recorder_.is_later() && tells_its_steps(harvest.plan)};
    if (last) {
      request_.images.clear();
      request_.attached.clear();
      request_.mask.reset();
    }
    for (std::size_t place = 0; place < harvest.outputs.size(); ++place) {
      if (harvest.outputs[place].is_open()) {
        places.push_back(place);
        JobOutput& output = harvest.outputs[place];
        to_start.push_back({std::move(inputs[place]), std::exchange(output.is_to_follow, false)
                                                          ? output.at_fal
                                                          : std::nullopt});
        continue;
      }
      note_accepted(harvest.outputs[place].receipt.fal_request_id);
      gathering.take(place, harvest.outputs[place]);
    }
    const JobWatch watch{
        .accepted = [this](std::string_view id) { note_accepted(id); },
        .taken =
            [&](std::size_t i, const fal::Submitted& submitted, const std::string& key) {
              harvest.outputs[places[i]].at_fal = TakenJob{submitted, key};
              recorder_.taken(places[i], submitted, key);
            },
        .worked = [&](std::size_t i, int percent) { recorder_.worked(places[i], percent); },
        .before_end = [this] { recorder_.settle(); },
        .partial = partial_pictures(harvest.plan),
        .ended =
            [&](std::size_t i, Job& job) {
              JobOutput& output = harvest.outputs[places[i]];
              std::optional<TakenJob> at_fal = std::move(output.at_fal);
              output = output_of(job);
              output.at_fal = std::move(at_fal);
              // Whoever asks again follows it.
              output.is_to_follow = recorder_.is_promised() && output.at_fal.has_value() &&
                                    output.receipt.abandoned &&
                                    output.error.kind != ErrorKind::result_expired;
              if (output.is_to_follow || recorder_.paid(places[i]))
                tab_.ended(places[i], job, output);
              gathering.take(places[i], output);
            }};
    runs::run_jobs(world_, policy, std::move(to_start), patience_, progress_, watch);
    take_receipts(harvest.outputs);
    harvest.receipt = receipt_;
    served_.can_be_mended = gathering.finish(harvest.outputs, served_.outcome);
    recorder_.settle();
    recorder_.end(harvest.outputs, served_.outcome.response);
    recorder_.is_later() ? static_cast<void>(recorder_.insist(patience_.stop()))
                         : recorder_.settle();
  }

  void note_accepted(std::string_view fal_request_id) {
    if (progress_ == nullptr || fal_request_id.empty()) return;
    recorder_.settle();
    const std::lock_guard lock(mutex_);
    underway_.fal_request_ids.emplace_back(fal_request_id);
    progress_->accepted(underway_);
  }

  JobOutput output_of(Job& job) {
    JobOutput output{.result = std::move(job.end().result), .receipt = job.receipt()};
    if (output.result != nullptr) return output;
    output.error = std::move(job.end().error);
    if (const std::optional<fal::Fault>& fault = job.end().fault) {
      name_field(output.error, *fault, mappings_);
      if (contradicts_document(*fault))
        world_.parts.catalog.contradicted(job.policy().endpoint, world_.parts.clock.now());
    }
    return output;
  }

  // The times of a request are those of the job that took longest.
  void take_receipts(const std::vector<JobOutput>& outputs) {
    const auto total = [](const JobOutput& output) {
      const JobReceipt& job = output.receipt;
      return job.submit + job.queue + job.inference + job.result;
    };
    for (const JobOutput& output : outputs) receipt_.jobs.push_back(output.receipt);
    const JobReceipt& longest = std::ranges::max_element(outputs, {}, total)->receipt;
    receipt_.submit += longest.submit;
    receipt_.queue += longest.queue;
    receipt_.inference += longest.inference;
    receipt_.result += longest.result;
  }

  // What a model's own stream shows on the way; empty where nobody asked for it.
  OnPartial partial_pictures(const plan::Plan& plan) {
    const int wanted = request_.partial_images.value_or(0);
    if (progress_ == nullptr || wanted == 0) return {};
    return [this, &plan, wanted, shown = 0](std::shared_ptr<const std::string> body) mutable {
      if (shown >= wanted) return;
      const Result<plan::JobResult> result = plan::read_result(std::move(body), plan.places);
      if (!result || result->images.empty()) return;
      const plan::ResultFile& image = result->images.front();
      const std::vector<Result<Picture>> pictures =
          make_pictures(world_, {image}, ResponseFormat::b64_json, patience_,
                        retry_policies::download.at_most(1));
      if (!pictures.front()) return;
      progress_->preview(product_of(plan, image, *pictures.front(), world_.unix_seconds()),
                         shown++);
    };
  }

  const World& world_;
  const CatalogModel& model_;
  Wish& request_;
  const Patience& patience_;
  Progress* progress_;
  Recorder& recorder_;
  Served& served_;
  Receipt& receipt_;
  Tab tab_;
  plan::Plan mappings_;  // nothing else of it: what names a field that a model refuses
  std::mutex mutex_;
  Underway underway_;
};

void serve_anew(const World& world, Wish& request, const Patience& patience, Progress* progress,
                Recorder& recorder, Served& served) {
  Outcome& outcome = served.outcome;
  outcome.receipt.requested_model = request.model.value_or("");
  const Result<std::vector<CatalogModel>> candidates = find_models(
      world.parts.catalog, request, world.options.default_model, recorder.asked().may_use);
  if (!candidates) {
    outcome.response = candidates.error();
    return;
  }
  const std::vector<CatalogModel>& models = *candidates;
  request.model = asked_name(request, models, world.options.default_model);

  std::optional<Error> first_error;
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (i > 0) outcome.receipt.notes.push_back(took_its_place(models[i - 1], models[i]));
    outcome.receipt.served_model = models[i].name;
    Course(world, models[i], request, patience, progress, recorder, served)
        .run(i + 1 == models.size());
    if (served.is_elsewhere) return;
    if (outcome.response || !fallback_may_help(outcome.response.error())) return;
    served.harvest = nullptr;
    if (!first_error.has_value()) first_error = outcome.response.error();
    if (patience.stop().stop_requested()) break;
  }
  outcome.response = *std::move(first_error);
}

// Makes the answer of what is there.
void answer_again(const World& world, std::shared_ptr<const Harvest> harvest, bool streamed,
                  const Patience& patience, Progress* progress, Served& served) {
  served.outcome.receipt = harvest->receipt;
  if (progress != nullptr) progress->accepted(underway_of(*harvest));
  Gathering gathering(world, harvest->plan, harvest->outputs.size(), patience,
                      streamed ? progress : nullptr);
  for (std::size_t place = 0; place < harvest->outputs.size(); ++place)
    gathering.take(place, harvest->outputs[place]);
  served.can_be_mended = gathering.finish(harvest->outputs, served.outcome);
  served.harvest = std::move(harvest);
}

// Runs the jobs that are open, if that is still possible.
void go_on(const World& world, Wish& request, const Harvest& earlier, const Patience& patience,
           Progress* progress, Recorder& recorder, Served& served) {
  const Result<CatalogModel> model = world.parts.catalog.find(earlier.receipt.served_model);
  if (!model) {
    served.outcome.response = model.error();
    return;
  }
  Receipt& receipt = served.outcome.receipt;
  receipt.requested_model = earlier.receipt.requested_model;
  receipt.served_model = earlier.receipt.served_model;
  receipt.notes = earlier.receipt.notes;
  if (!request.model.has_value()) request.model = model->name;
  Course(world, *model, request, patience, progress, recorder, served).run(true, &earlier);
}

}  // namespace

Served serve(const World& world, Wish& request, std::shared_ptr<const Harvest> earlier,
             const Patience& patience, Progress* progress, Recorder& recorder) {
  Served served{Outcome{Error{}, {}}};
  const TimePoint begin = world.parts.clock.now();
  try {
    if (earlier == nullptr) serve_anew(world, request, patience, progress, recorder, served);
    if (earlier != nullptr && earlier->can_go_on())
      go_on(world, request, *earlier, patience, progress, recorder, served);
    // If a restored run cannot go on, there is nothing to answer again with: the error says why.
    const bool failed = earlier != nullptr && earlier->restored && earlier->can_go_on();
    if (earlier != nullptr && served.harvest == nullptr && !failed && !served.is_elsewhere)
      answer_again(world, earlier, request.stream, patience, progress, served);
  } catch (...) {  // no memory: what the jobs have brought is kept all the same
    served.outcome.response = Error{ErrorKind::internal, "falproxy failed."};
    served.can_be_mended = true;
    if (served.harvest == nullptr) served.harvest = std::move(earlier);
  }
  served.outcome.receipt.total =
      std::chrono::duration_cast<Microseconds>(world.parts.clock.now() - begin);
  return served;
}

}  // namespace falproxy::inline v0::runs
