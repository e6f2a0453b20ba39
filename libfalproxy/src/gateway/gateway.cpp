#include "falproxy/gateway.hpp"

#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/digits.hpp"
#include "gateway/course.hpp"
#include "gateway/driver.hpp"
#include "gateway/faults.hpp"
#include "gateway/ledger.hpp"
#include "gateway/model_choice.hpp"
#include "gateway/request_digest.hpp"

namespace falproxy {

using gateway::Patience;
using gateway::World;

std::string server_timing(const Receipt& receipt) {
  std::string text;
  text.reserve(160);
  const auto add = [&](std::string_view name, std::chrono::microseconds time, bool always = false) {
    if (time.count() == 0 && !always) return;
    if (!text.empty()) text += ", ";
    text.append(name).append(";dur=");
    append_thousandths(text, time.count());
  };
  add("map", receipt.map, true);
  add("upload", receipt.upload);
  add("submit", receipt.submit);
  add("queue", receipt.queue);
  add("inference", receipt.inference);
  add("result", receipt.result);
  add("media", receipt.media);
  add("total", receipt.total, true);
  return text;
}

struct ImageGateway::Impl {
  Impl(Parts given, Options first)
      : parts(std::move(given)), options(std::make_shared<const Options>(std::move(first))) {}

  [[nodiscard]] std::shared_ptr<const Options> options_now() const {
    const std::lock_guard lock(mutex);
    return options;
  }

  const Parts parts;
  gateway::Tally tally;
  gateway::Ledger ledger;
  mutable std::mutex mutex;
  std::shared_ptr<const Options> options;
};

ImageGateway::ImageGateway(Parts parts, Options options)
    : impl_(std::make_unique<Impl>(std::move(parts), std::move(options))) {}

ImageGateway::~ImageGateway() = default;

Outcome ImageGateway::handle(openai::ImageRequest request, const CallContext& context) {
  const std::shared_ptr<const Options> options = impl_->options_now();
  const World world{impl_->parts, *options, impl_->tally};
  Clock& clock = impl_->parts.clock;

  const TimePoint begin = clock.now();
  const Digest digest = gateway::digest_of(request, impl_->parts.codecs);
  std::string key(reinterpret_cast<const char*>(digest.data()), digest.size());
  key += context.client;
  const gateway::Ledger::Rules rules{options->recovery_window, options->recovery_bytes,
                                     options->on_disconnect};
  Outcome outcome = impl_->ledger.run(
      key, context, clock, rules, [&](const Patience& patience, Progress* progress) {
        return gateway::serve(world, std::move(request), patience, progress);
      });
  if (outcome.receipt.recovered) {
    impl_->tally.recovered.fetch_add(1);
    outcome.receipt.total =
        std::chrono::duration_cast<std::chrono::microseconds>(clock.now() - begin);
  }
  return outcome;
}

Result<translate::FalPlan> ImageGateway::plan(const openai::ImageRequest& request,
                                              const CallContext& context) {
  const std::shared_ptr<const Options> options = impl_->options_now();
  const World world{impl_->parts, *options, impl_->tally};
  const Result<std::vector<CatalogModel>> models =
      gateway::find_models(impl_->parts.catalog, request, options->default_model);
  if (!models) return models.error();
  std::vector<translate::Note> notes;
  std::optional<Error> first_error;
  for (std::size_t i = 0; i < models->size(); ++i) {
    if (i > 0) notes.push_back(gateway::took_its_place((*models)[i - 1], (*models)[i]));
    Result<gateway::PlannedRequest> planned =
        gateway::plan_request(world, (*models)[i], request, context.deadline, context.stop);
    if (planned) {
      planned->plan.notes.insert(planned->plan.notes.begin(), notes.begin(), notes.end());
      return std::move(planned->plan);
    }
    if (!gateway::fallback_may_help(planned.error())) return planned.error();
    if (!first_error.has_value()) first_error = planned.error();
  }
  return *std::move(first_error);
}

ImageGateway::Counters ImageGateway::counters() const { return impl_->tally.read(); }

void ImageGateway::forget_expired(TimePoint now) {
  impl_->ledger.forget_expired(now, impl_->options_now()->recovery_window);
}

void ImageGateway::reload(Options options) {
  auto next = std::make_shared<const Options>(std::move(options));
  const std::lock_guard lock(impl_->mutex);
  impl_->options = std::move(next);
}

}  // namespace falproxy
