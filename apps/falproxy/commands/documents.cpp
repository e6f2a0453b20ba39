#include "commands/documents.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <ostream>

#include "base/fmt.hpp"
#include "falproxy/options.hpp"
#include "sound_converter.hpp"

namespace falproxy::app {
namespace {

using namespace std::chrono_literals;

double no_jitter() { return 0.5; }

}  // namespace

Documents::Documents(const Surroundings& surroundings, const Settings& settings)
    : surroundings_(surroundings), keys_(settings.ai_keys, key_ring_options(settings), no_jitter) {}

Result<std::unique_ptr<Documents>> Documents::create(const Surroundings& surroundings,
                                                     const Configuration& configuration,
                                                     Cache cache) {
  Result<std::unique_ptr<Transport>> transport =
      surroundings.transport(configuration.settings, configuration.proxies);
  if (!transport) return std::move(transport).error();
  std::unique_ptr<Documents> documents(new Documents(surroundings, configuration.settings));
  documents->transport_ = std::move(*transport);
  if (cache == Cache::used && surroundings.store) {
    documents->store_ = surroundings.store(configuration.settings);
  }
  Catalog::Parts parts{.transport = *documents->transport_,
                       .clock = surroundings.clock,
                       .executor = surroundings.executor,
                       .store = documents->store_.get(),
                       .random = no_jitter,
                       .log = {}};
  documents->catalog_ =
      std::make_unique<Catalog>(std::move(parts), catalog_options(configuration.settings),
                                configuration.models, configuration.pinned);
  Runner::Options options = runner_options(configuration.settings);
  options.plan.converted_sounds = SoundConverter::made();
  documents->runner_ = std::make_unique<Runner>(Runner::Parts{.transport = *documents->transport_,
                                                              .clock = surroundings.clock,
                                                              .executor = surroundings.executor,
                                                              .codecs = surroundings.codecs,
                                                              .keys = documents->keys_,
                                                              .catalog = *documents->catalog_,
                                                              .random = no_jitter},
                                                std::move(options));
  return documents;
}

TimePoint Documents::deadline() const { return surroundings_.clock.now() + 60s; }

std::vector<Documents::Profile> Documents::fetch(const std::vector<Wanted>& wanted) {
  std::vector<std::optional<Profile>> found(wanted.size());
  const TimePoint until = deadline();
  for_each_at_once(surroundings_.executor, wanted.size(), 8, [&](std::size_t i) {
    found[i] = catalog_->profile(wanted[i].endpoint, wanted[i].model, until, {});
  });
  std::vector<Profile> profiles;
  profiles.reserve(found.size());
  for (std::optional<Profile>& profile : found) profiles.push_back(std::move(*profile));
  tell_causes(wanted, profiles);
  return profiles;
}

Result<plan::Plan> Documents::plan(const Wish& request) {
  return runner_->plan(request, {.deadline = deadline()});
}

// A client is told less of why a document cannot be had than the operator.
void Documents::tell_causes(const std::vector<Wanted>& wanted,
                            std::vector<Profile>& profiles) const {
  const std::vector<DocumentStatus> all = catalog_->status();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (profiles[i]) continue;
    const auto status = std::ranges::find(all, wanted[i].endpoint.str(), &DocumentStatus::endpoint);
    if (status != all.end() && !status->fault.empty())
      profiles[i].error().message = fmt::format("The document of '{}' cannot be had: {}.",
                                                wanted[i].endpoint.str(), status->fault);
  }
}

std::string size_words(const profile::Summary& summary) {
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

std::optional<Configuration> configured(const CommandLine& line, const Surroundings& surroundings,
                                        const Environment& otherwise) {
  auto configuration = load_configuration(line.env_file, surroundings.environment, otherwise);
  if (configuration) return *std::move(configuration);
  for (const SettingsFault& fault : configuration.error())
    static_cast<void>(fail(surroundings, to_string(fault)));
  return std::nullopt;
}

int fail(const Surroundings& surroundings, std::string_view why) {
  surroundings.err << "falproxy: " << why << '\n';
  return ExitStatus::not_understood;
}

void show(const CommandLine& line, const Surroundings& surroundings, const Json& json,
          std::string_view text) {
  if (line.json) {
    surroundings.out << json.dump(2) << '\n';
  } else {
    surroundings.out << text;
  }
}

}  // namespace falproxy::app
