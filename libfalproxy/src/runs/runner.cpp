#include "falproxy/runner.hpp"

#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/digits.hpp"
#include "runs/answer_sinks.hpp"
#include "runs/course.hpp"
#include "runs/driver.hpp"
#include "runs/faults.hpp"
#include "runs/forward.hpp"
#include "runs/later.hpp"
#include "runs/ledger.hpp"
#include "runs/links.hpp"
#include "runs/model_choice.hpp"
#include "runs/pictures.hpp"
#include "runs/recall.hpp"
#include "runs/recorder.hpp"
#include "runs/recovery.hpp"
#include "runs/relay.hpp"
#include "wish/digest.hpp"

namespace falproxy::inline v0 {

using runs::Patience;
using runs::World;

std::optional<Usd> cost_of(const Receipt& receipt) noexcept {
  std::optional<Usd> sum;
  for (const JobReceipt& job : receipt.jobs) {
    if (!job.cost) return std::nullopt;
    sum = sum.value_or(Usd{}) + *job.cost;
  }
  return sum;
}

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

namespace {

// No owner is empty.
std::string owner_of(const std::string& client) { return client.empty() ? "-" : client; }

// Runs the wish, or goes on with what an earlier process has of it.
runs::Served serve_or_recall(const World& world, runs::Asked asked, runs::Past& past, Wish wish,
                             std::shared_ptr<const runs::Harvest> earlier, const Patience& patience,
                             Progress* progress) {
  constexpr int most_turns = 5;
  for (int turn = 1;; ++turn) {
    std::optional<RunRecord> record;
    runs::Past::Hold hold;
    bool watches = false;
    if (earlier == nullptr && world.parts.state != nullptr) {
      Result<std::optional<runs::Recalled>> recalled = runs::recall(world, asked, past, patience);
      if (!recalled) return {Outcome{std::move(recalled).error(), {}}};
      if (recalled->has_value()) {
        earlier = std::move((*recalled)->harvest);
        record = std::move((*recalled)->record);
        hold = std::move((*recalled)->hold);
        watches = is_open(record->state) && past.is_elsewhere(*record);
      }
    }
    const bool is_recalled = record.has_value();
    runs::Recorder recorder(world, asked, std::move(record), watches);
    runs::Served served = runs::serve(world, wish, earlier, patience, progress, recorder);
    served.outcome.receipt.recovered = served.outcome.receipt.recovered || is_recalled;
    runs::call([&] {
      std::optional<RunRecord> left =
          world.parts.unfollowed ? recorder.left() : std::optional<RunRecord>();
      if (left.has_value()) world.parts.unfollowed(*std::move(left));
    });
    // Another process was faster, and is waited for.
    if (!served.is_elsewhere || turn == most_turns) return served;
    earlier = nullptr;
  }
}

}  // namespace

struct Runner::Impl {
  Impl(Parts given, Options first)
      : parts(std::move(given)),
        past(parts.clock.wall_now(), parts.peers),
        options(std::make_shared<const Options>(std::move(first))) {
    if (parts.peers != nullptr)
      parts.peers->on_cancel([this](const RunId& id) { live.cancel(id); });
  }
  ~Impl() {
    if (parts.peers != nullptr) parts.peers->on_cancel({});
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] std::shared_ptr<const Options> options_now() const {
    const std::lock_guard lock(mutex);
    return options;
  }

  const Parts parts;
  runs::Past past;
  runs::Tally tally;
  runs::LiveRuns live;
  runs::Ledger ledger;
  mutable std::mutex mutex;
  std::shared_ptr<const Options> options;
};

Runner::Runner(Parts parts, Options options)
    : impl_(std::make_unique<Impl>(std::move(parts), std::move(options))) {}

Runner::~Runner() = default;

template <class F>
auto Runner::with_world(F&& function) {
  const std::shared_ptr<const Options> options = impl_->options_now();
  const World world{impl_->parts, *options, impl_->tally};
  return function(world);
}

Outcome Runner::handle(Wish wish, const CallContext& context) {
  const std::shared_ptr<const Options> options = impl_->options_now();
  const World world{impl_->parts, *options, impl_->tally};
  Clock& clock = impl_->parts.clock;

  if (std::optional<Error> refused = runs::refusal_of_model(
          impl_->parts.catalog, wish, options->default_model, context.may_use))
    return {*std::move(refused), {}};
  const TimePoint begin = clock.now();
  const Digest digest = run_by_size(impl_->parts.executor, bytes_in(wish),
                                    [&] { return digest_of(wish, impl_->parts.codecs); });
  std::string key(reinterpret_cast<const char*>(digest.data()), digest.size());
  key += context.client;
  runs::Ledger::Rules rules{options->recovery_window, options->recovery_bytes,
                            options->on_disconnect};
  runs::Asked asked{.owner = owner_of(context.client),
                    .digest = digest,
                    .key_hash = {},
                    .retry_count = context.retry_count,
                    .user = context.user.empty() ? wish.user.value_or("") : context.user,
                    .may_use = context.may_use,
                    .later = context.later};
  if (!context.idempotency_key.empty())
    asked.key_hash = impl_->parts.codecs.sha256(context.idempotency_key);
  if (context.later != nullptr)
    return runs::run_later(world, asked, impl_->live, std::move(wish), context);
  // Who has a key may ask for it later.
  if (runs::may_be_asked_for(world, asked)) rules.on_disconnect = OnDisconnect::keep;
  Outcome outcome =
      impl_->ledger.run(key, context, clock, rules,
                        [&](std::shared_ptr<const runs::Harvest> earlier, const Patience& patience,
                            Progress* progress) {
                          return serve_or_recall(world, asked, impl_->past, std::move(wish),
                                                 std::move(earlier), patience, progress);
                        });
  if (outcome.receipt.recovered) {
    impl_->tally.recovered.fetch_add(1);
    outcome.receipt.total =
        std::chrono::duration_cast<std::chrono::microseconds>(clock.now() - begin);
  }
  return outcome;
}

Result<plan::Plan> Runner::plan(const Wish& request, const CallContext& context) {
  Options options = *impl_->options_now();
  if (context.later != nullptr) options.plan.data_uris = false;  // as run_later() does
  const World world{impl_->parts, options, impl_->tally};
  if (std::optional<Error> refused = runs::refusal_of_model(impl_->parts.catalog, request,
                                                            options.default_model, context.may_use))
    return *std::move(refused);
  const Result<std::vector<CatalogModel>> models =
      runs::find_models(impl_->parts.catalog, request, options.default_model, context.may_use);
  if (!models) return models.error();
  Wish named = request;
  named.model = runs::asked_name(request, *models, options.default_model);
  std::vector<plan::Note> notes;
  std::optional<Error> first_error;
  for (std::size_t i = 0; i < models->size(); ++i) {
    if (i > 0) notes.push_back(runs::took_its_place((*models)[i - 1], (*models)[i]));
    Result<runs::PlannedRequest> planned = runs::plan_request(
        world, (*models)[i], named, runs::draw(world), context.deadline, context.stop);
    if (planned) {
      planned->plan.notes.insert(planned->plan.notes.begin(), notes.begin(), notes.end());
      return std::move(planned->plan);
    }
    if (!runs::fallback_may_help(planned.error())) return planned.error();
    if (!first_error.has_value()) first_error = planned.error();
  }
  return *std::move(first_error);
}

Result<Body> Runner::fetch(const std::string& url, const CallContext& context) {
  const std::shared_ptr<const Options> options = impl_->options_now();
  const World world{impl_->parts, *options, impl_->tally};
  Result<runs::Picture> picture =
      runs::fetch_picture(world, url, Patience(context.deadline, context.stop));
  if (!picture) return std::move(picture).error();
  return std::move(picture->content);
}

Result<Done> Runner::pass_on(const std::string& url, std::string_view range,
                             const CallContext& context, ResponseSink& sink) {
  return with_world(
      [&](const World& world) { return runs::pass_on(world, url, range, context, sink); });
}

Result<Forwarded> Runner::forward(const ForwardedRequest& request, const CallContext& context,
                                  ResponseSink& sink) {
  return with_world(
      [&](const World& world) { return runs::forward(world, request, context, sink); });
}

Result<Done> Runner::relay(const std::string& url, const CallContext& context,
                           const std::function<bool(std::string_view)>& take) {
  return with_world([&](const World& world) {
    return runs::relay(world, url, Patience(context.deadline, context.stop), take);
  });
}

Result<std::string> Runner::link_to(const std::string& url, std::chrono::seconds lifetime,
                                    const CallContext& context) {
  return with_world([&](const World& world) {
    return runs::signed_link(world, url, lifetime, context.deadline, context.stop);
  });
}

Result<Recovered, StoreError> Runner::recover(const std::stop_token& stop) {
  const std::shared_ptr<const Options> options = impl_->options_now();
  const World world{impl_->parts, *options, impl_->tally};
  return runs::recover(world, impl_->past, impl_->live, stop);
}

RunState Runner::follow(RunRecord record, const std::stop_token& stop,
                        const std::function<void()>& untold) {
  return with_world([&](const World& world) {
    return runs::follow(world, impl_->past, impl_->live, std::move(record), stop, untold);
  });
}

Result<std::optional<RunStatus>> Runner::find(const std::string& client, const RunId& id) {
  return with_world([&](const World& world) {
    Result<std::optional<RunStatus>> status =
        runs::find_run(world, impl_->past, impl_->live, owner_of(client), id);
    if (status && status->has_value()) runs::read_left_out(world, **status);
    return status;
  });
}

Result<std::vector<RunStatus>> Runner::list(const std::string& client, const std::string& surface,
                                            std::size_t limit, std::optional<RunPlace> after,
                                            bool oldest_first) {
  return with_world([&](const World& world) {
    RunQuery query = RunQuery::of_owner(owner_of(client), limit);
    query.surface = surface;
    query.after = after;
    query.oldest_first = oldest_first;
    return runs::list_runs(world, impl_->past, impl_->live, query);
  });
}

Result<std::vector<RunStatus>> Runner::under_way(std::size_t limit) {
  return with_world(
      [&](const World& world) { return runs::list_open(world, impl_->past, impl_->live, limit); });
}

Result<std::optional<RunStatus>> Runner::cancel(const std::string& client, const RunId& id) {
  return with_world([&](const World& world) {
    return runs::cancel_run(world, impl_->past, impl_->live, owner_of(client), id);
  });
}

Result<bool> Runner::forget(const std::string& client, const RunId& id) {
  return with_world([&](const World& world) {
    return runs::forget_run(world, impl_->past, impl_->live, owner_of(client), id);
  });
}

Result<std::vector<RunStatus>> Runner::untold() {
  return with_world(
      [&](const World& world) { return runs::untold_runs(world, impl_->past, impl_->live); });
}

void Runner::told(const RunStatus& status) {
  with_world([&](const World& world) { runs::note_told(world, status.record); });
}

Result<std::vector<Product>> Runner::products_of(const RunStatus& status,
                                                 const CallContext& context) {
  return with_world(
      [&](const World& world) { return runs::fetch_products(world, status, context); });
}

Runner::Counters Runner::counters() const { return impl_->tally.read(); }

void Runner::forget_expired(TimePoint now) {
  impl_->ledger.forget_expired(now, impl_->options_now()->recovery_window);
}

void Runner::reload(Options options) {
  auto next = std::make_shared<const Options>(std::move(options));
  const std::lock_guard lock(impl_->mutex);
  impl_->options = std::move(next);
}

}  // namespace falproxy::inline v0
