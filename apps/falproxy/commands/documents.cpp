#include "commands/documents.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <ostream>

#include "base/fmt.hpp"

namespace falproxy::app {

using namespace std::chrono_literals;

Result<std::unique_ptr<Documents>> Documents::create(const Surroundings& surroundings,
                                                     const Configuration& configuration,
                                                     Cache cache) {
  Result<std::unique_ptr<Transport>> transport = surroundings.transport(configuration.settings);
  if (!transport) return std::move(transport).error();
  std::unique_ptr<Documents> documents(new Documents(surroundings));
  documents->transport_ = std::move(*transport);
  if (cache == Cache::used && surroundings.store) {
    documents->store_ = surroundings.store(configuration.settings);
  }
  Catalog::Parts parts{.transport = *documents->transport_,
                       .clock = surroundings.clock,
                       .executor = surroundings.executor,
                       .store = documents->store_.get(),
                       .random = [] { return 0.5; },
                       .log = {}};
  documents->catalog_ =
      std::make_unique<Catalog>(std::move(parts), catalog_options(configuration.settings),
                                configuration.models, configuration.pinned);
  return documents;
}

TimePoint Documents::deadline() const { return surroundings_.clock.now() + 60s; }

std::vector<Documents::Schema> Documents::fetch(const std::vector<Wanted>& wanted) {
  std::vector<std::optional<Schema>> found(wanted.size());
  const TimePoint until = deadline();
  for_each_at_once(surroundings_.executor, wanted.size(), 8, [&](std::size_t i) {
    found[i] = catalog_->schema(wanted[i].endpoint, wanted[i].model, until, {});
  });
  std::vector<Schema> schemas;
  schemas.reserve(found.size());
  for (std::optional<Schema>& schema : found) schemas.push_back(std::move(*schema));
  tell_causes(wanted, schemas);
  return schemas;
}

// A client is told less of why a document cannot be had than the operator.
void Documents::tell_causes(const std::vector<Wanted>& wanted, std::vector<Schema>& schemas) const {
  const std::vector<DocumentStatus> all = catalog_->status();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (schemas[i]) continue;
    const auto status = std::ranges::find(all, wanted[i].endpoint.str(), &DocumentStatus::endpoint);
    if (status != all.end() && !status->fault.empty())
      schemas[i].error().message = fmt::format("The document of '{}' cannot be had: {}.",
                                               wanted[i].endpoint.str(), status->fault);
  }
}

std::string size_words(const schema::Summary& summary) {
  if (summary.free_size) return "any size";
  std::vector<std::string> words;
  if (!summary.sizes.empty()) words.push_back(fmt::format("{} sizes", summary.sizes.size()));
  if (!summary.ratios.empty()) words.push_back(fmt::format("{} ratios", summary.ratios.size()));
  if (!summary.resolutions.empty()) {
    words.push_back(fmt::format("{}", fmt::join(summary.resolutions, "/")));
  }
  return words.empty() ? "no size" : fmt::format("{}", fmt::join(words, ", "));
}

void for_each_at_once(Executor& executor, std::size_t count, std::size_t most,
                      const std::function<void(std::size_t)>& task) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) task(i);
  };
  const std::vector<std::function<void()>> tasks(std::min(count, most), work);
  executor.run_all(tasks);
}

void print_faults(std::ostream& err, const std::vector<SettingsFault>& faults) {
  for (const SettingsFault& fault : faults) err << to_string(fault) << '\n';
}

}  // namespace falproxy::app
