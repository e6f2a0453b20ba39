#include "runs/gathering.hpp"

#include <algorithm>
#include <utility>

#include "base/fmt.hpp"
#include "runs/faults.hpp"

namespace falproxy::inline v0::runs {
namespace {

bool may_come_another_time(const Error& error) {
  return error.kind == ErrorKind::download_failed || error.kind == ErrorKind::cancelled ||
         error.kind == ErrorKind::internal;
}

// Of several reasons the one that says most: where a picture is that could not be fetched; last of
// all that it was only stopped.
int weight_of(const Error& error) {
  if (error.kind == ErrorKind::download_failed) return 2;
  return error.kind == ErrorKind::cancelled ? 0 : 1;
}

void note_reason(std::optional<Error>& reason, const Error& error) {
  if (!reason.has_value() || weight_of(error) > weight_of(*reason)) reason = error;
}

}  // namespace

Product product_of(const plan::Plan& plan, const plan::ResultFile& file, const Picture& picture,
                   std::int64_t created) {
  Product product{.medium = plan.makes,
                  .content = picture.content,
                  .is_address = plan.response_format == ResponseFormat::url,
                  .created = created,
                  .size = plan.size,
                  .quality = plan.quality,
                  .background = plan.background,
                  .output_format = plan.output_format,
                  .revised_prompt = file.revised_prompt,
                  .content_type = file.content_type,
                  .seconds = file.seconds.has_value() ? file.seconds : plan.seconds,
                  .transcript = file.transcript,
                  .thumbnail = file.thumbnail};
  if (product.transcript.has_value()) product.is_address = false;
  if (file.width && file.height) {
    product.size = fmt::format("{}x{}", *file.width, *file.height);
  } else if (!product.size.has_value() && picture.dimensions.has_value()) {
    product.size = fmt::format("{}x{}", picture.dimensions->width, picture.dimensions->height);
  }
  if (plan.output_format_sent && product.output_format.has_value()) return product;
  const std::optional<media::ImageType> said = media::from_mime(file.content_type);
  if (const auto type = picture.type.has_value() ? picture.type : said;
      type.has_value() && (picture.type.has_value() || !plan.output_format_sent))
    product.output_format = std::string(media::name_of(*type));
  return product;
}

Gathering::Gathering(const World& world, const plan::Plan& plan, std::size_t jobs,
                     const Patience& patience, Progress* progress)
    : world_(world),
      plan_(plan),
      patience_(patience),
      progress_(progress),
      taken_(jobs),
      selection_(plan, world.options.plan),
      left_(jobs) {}

void Gathering::take(std::size_t place, const JobOutput& output) {
  Taken& taken = taken_[place];
  const TimePoint begin = world_.parts.clock.now();
  try {
    make_pictures_of(output, taken);
  } catch (...) {  // no memory: what the job brought is kept all the same
    taken = {.images = {}, .pictures = {}, .error = Error{ErrorKind::internal, "falproxy failed."}};
  }
  taken.time =
      std::chrono::duration_cast<std::chrono::microseconds>(world_.parts.clock.now() - begin);
  const std::lock_guard lock(mutex_);
  --left_;
  if (progress_ != nullptr) show(taken, output.receipt.fal_request_id);
}

void Gathering::make_pictures_of(const JobOutput& output, Taken& taken) {
  if (output.result == nullptr) {
    taken.error = output.error;
    return;
  }
  const auto stage = world_.begin_stage("media");
  Result<plan::JobResult> result = run_by_size(world_.parts.executor, output.result->size(), [&] {
    return plan::read_result(output.result, plan_.places, plan_.makes, plan_.times);
  });
  if (!result) {
    taken.error = std::move(result).error();
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    taken.images = selection_.take(std::move(*result));
  }
  taken.pictures = make_pictures(world_, taken.images, plan_.response_format, patience_);
}

void Gathering::show(const Taken& taken, const std::string& fal_request_id) {
  for (std::size_t i = 0; i < taken.pictures.size(); ++i) {
    if (!taken.pictures[i]) continue;
    Product product = product_of(plan_, taken.images[i], *taken.pictures[i], world_.unix_seconds());
    product.fal_request_id = fal_request_id;
    progress_->completed(product, left_ > 0);
  }
}

bool Gathering::finish(const std::vector<JobOutput>& outputs, Outcome& outcome) {
  const std::int64_t now = world_.unix_seconds();
  std::vector<Product> products;
  std::optional<Error> reason;
  std::vector<std::string> reasons;
  bool submitted = false, more_to_fetch = false;
  std::size_t cut = 0;
  Receipt& receipt = outcome.receipt;
  const auto missing = [&](Error error, std::size_t place) {
    if (error.fal_request_id.empty()) error.fal_request_id = outputs[place].receipt.fal_request_id;
    reasons.push_back(error.message);
    note_reason(reason, error);
  };
  for (std::size_t place = 0; place < taken_.size(); ++place) {
    Taken& taken = taken_[place];
    submitted = submitted || outputs[place].result != nullptr || outputs[place].error.submitted;
    receipt.media = std::max(receipt.media, taken.time);
    if (taken.error.has_value()) {
      more_to_fetch = more_to_fetch ||
                      (outputs[place].result != nullptr && may_come_another_time(*taken.error));
      missing(*std::move(taken.error), place);
    }
    for (std::size_t i = 0; i < taken.pictures.size(); ++i) {
      if (!taken.pictures[i]) {
        more_to_fetch = more_to_fetch || may_come_another_time(taken.pictures[i].error());
        missing(std::move(taken.pictures[i]).error(), place);
        continue;
      }
      const Picture& picture = *taken.pictures[i];
      receipt.answer_bytes += picture.content.size();
      cut += picture.is_cut ? 1 : 0;
      products.push_back(product_of(plan_, taken.images[i], picture, now));
      products.back().fal_request_id = outputs[place].receipt.fal_request_id;
    }
  }
  if (products.empty()) {
    Error error = reason.has_value() ? *std::move(reason) : selection_.nothing();
    error.submitted = submitted;
    if (error.fal_request_id.empty() && !receipt.jobs.empty())
      error.fal_request_id = receipt.jobs.back().fal_request_id;
    outcome.response = std::move(error);
    return more_to_fetch;
  }
  selection_.tell(receipt.notes, products.size(), reasons);
  if (cut > 0)
    receipt.notes.push_back({"data", fmt::format("{} of the files at fal ends too early", cut)});
  receipt.images = static_cast<int>(products.size());
  outcome.response = std::move(products);
  outcome.shortfall = std::move(reason);
  return more_to_fetch;
}

}  // namespace falproxy::inline v0::runs
