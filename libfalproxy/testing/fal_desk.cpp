#include "falproxy/fal_desk.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "documents.hpp"
#include "service.hpp"

namespace falproxy::inline v0::testing {
namespace {

/// What it runs holds the desk's lock.
class LockingTimeline final : public Timeline {
 public:
  LockingTimeline(Timeline& inner, std::recursive_mutex& mutex) : inner_(inner), mutex_(mutex) {}
  [[nodiscard]] TimePoint now() const override { return inner_.now(); }
  [[nodiscard]] WallTime wall_now() const override { return inner_.wall_now(); }
  void at(TimePoint then, std::function<void()> call) override {
    inner_.at(then, [this, call = std::move(call)] {
      const std::lock_guard lock(mutex_);
      call();
    });
  }

 private:
  Timeline& inner_;
  std::recursive_mutex& mutex_;
};

}  // namespace

DeskRequest DeskRequest::to(DeskHost host, std::string_view method, std::string_view target) {
  const std::size_t mark = std::min(target.find('?'), target.size());
  return {.method = std::string(method),
          .path = std::string(target.substr(0, mark)),
          .query = std::string(target.substr(std::min(mark + 1, target.size()))),
          .headers = {},
          .body = {},
          .host = host};
}

std::string_view DeskRequest::header(std::string_view name) const noexcept {
  return headers.find(name).value_or(std::string_view());
}

std::optional<std::string> DeskRequest::parameter(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) != name) continue;
    return equals == std::string_view::npos ? std::string()
                                            : percent_decode(pair.substr(equals + 1));
  }
  return std::nullopt;
}

struct FalDesk::Impl {
  Impl(DeskOptions given, Models loaded, Timeline& inner, const PictureEncoder& encoder)
      : options(std::move(given)),
        models(std::move(loaded)),
        timeline(inner, mutex),
        service(timeline, options, models, encoder) {}

  /// What `ask` returns, under the lock. Wires may come back to the desk from where it calls them.
  template <class F>
  auto locked(F ask) {
    const std::lock_guard lock(mutex);
    return ask(service);
  }

  std::recursive_mutex mutex;
  DeskOptions options;
  Models models;
  LockingTimeline timeline;
  Service service;
};

Result<std::unique_ptr<FalDesk>> FalDesk::create(DeskOptions options, Timeline& timeline,
                                                 const PictureEncoder& encoder) {
  Result<Models> models = Models::load(options.bundled_models, options.schemas);
  if (!models) return models.error();
  return std::unique_ptr<FalDesk>(new FalDesk(
      std::make_unique<Impl>(std::move(options), *std::move(models), timeline, encoder)));
}

FalDesk::FalDesk(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FalDesk::~FalDesk() = default;

void FalDesk::connect(DeskWires& wires, Names names) {
  impl_->locked([&](Service& service) { service.connect(wires, std::move(names)); });
}
FalDesk::Admission FalDesk::admit(const DeskRequest& head) {
  return impl_->locked([&](Service& service) { return service.admit(head); });
}
void FalDesk::serve(ExchangeId exchange, DeskRequest request) {
  impl_->locked([&](Service& service) { service.serve(exchange, request); });
}
void FalDesk::gone(ExchangeId exchange) {
  impl_->locked([&](Service& service) { service.gone(exchange); });
}

DeskStats FalDesk::stats() const {
  return impl_->locked([](Service& service) { return service.stats(); });
}
void FalDesk::reset_stats() {
  impl_->locked([](Service& service) { service.reset_stats(); });
}
std::vector<SeenSubmit> FalDesk::submits() const {
  return impl_->locked([](Service& service) {
    const std::deque<SeenSubmit>& seen = service.desk().submits();
    return std::vector<SeenSubmit>(seen.begin(), seen.end());
  });
}
std::optional<SeenUpload> FalDesk::upload(std::string_view file_url) const {
  return impl_->locked([&](Service& service) {
    const SeenUpload* seen = service.storage().find(file_url);
    return seen == nullptr ? std::nullopt : std::optional(*seen);
  });
}

std::vector<std::string> FalDesk::endpoints() const {
  std::vector<std::string> ids;
  for (const auto& [endpoint, model] : impl_->models.all()) ids.push_back(endpoint);
  return ids;
}
std::optional<std::string> FalDesk::document(std::string_view endpoint) const {
  const Model* model = impl_->models.find(endpoint);
  return model == nullptr ? std::nullopt : std::optional(model->text().str());
}

void FalDesk::add_fault(Fault fault) {
  impl_->locked([&](Service& service) { service.faults().add(std::move(fault)); });
}
void FalDesk::clear_faults() {
  impl_->locked([](Service& service) { service.faults().clear(); });
}
void FalDesk::set_times(Milliseconds queue_time, Milliseconds job_time) {
  impl_->locked([&](Service& service) { service.desk().set_times(queue_time, job_time); });
}

}  // namespace falproxy::inline v0::testing
