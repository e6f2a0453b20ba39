// documents.hpp: what the commands share: a catalogue for one run with all its documents at once,
// what the server would make of a request, and how it is told.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "commands/command_line.hpp"
#include "commands/surroundings.hpp"
#include "falproxy/runner.hpp"

namespace falproxy::app {

/// Not movable: its parts refer to each other.
class Documents {
 public:
  enum class Cache { used, passed_over };
  /// Errors: invalid_settings.
  [[nodiscard]] static Result<std::unique_ptr<Documents>> create(const Surroundings& surroundings,
                                                                 const Configuration& configuration,
                                                                 Cache cache);

  [[nodiscard]] Catalog& catalog() noexcept { return *catalog_; }
  [[nodiscard]] Transport& transport() noexcept { return *transport_; }

  struct Wanted {
    std::string model;  ///< whose pinned document counts
    fal::EndpointId endpoint;
  };
  using Profile = Result<std::shared_ptr<const profile::Profile>>;
  /// In the order of `wanted`, fetched several at a time.
  [[nodiscard]] std::vector<Profile> fetch(const std::vector<Wanted>& wanted);
  /// By the same Runner that serves. Fetches documents where need be; submits nothing.
  [[nodiscard]] Result<plan::Plan> plan(const Wish& request);

 private:
  void tell_causes(const std::vector<Wanted>& wanted, std::vector<Profile>& profiles) const;
  Documents(const Surroundings& surroundings, const Settings& settings);
  [[nodiscard]] TimePoint deadline() const;
  const Surroundings& surroundings_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<DocumentStore> store_;
  std::unique_ptr<Catalog> catalog_;
  KeyRing keys_;
  std::unique_ptr<Runner> runner_;
};

/// What a model takes, in a few words: "any size", "6 sizes", "ratios 1:1, 16:9".
[[nodiscard]] std::string size_words(const profile::Summary& summary);

/// Runs `task(i)` for each i below `count`, at most `most` at a time.
void for_each_at_once(Executor& executor, std::size_t count, std::size_t most,
                      const std::function<void(std::size_t)>& task);

/// None: it is wrong, and each fault is told on a line of its own.
[[nodiscard]] std::optional<Configuration> configured(const CommandLine& line,
                                                      const Surroundings& surroundings,
                                                      const Environment& otherwise = {});
/// Tells why the command cannot begin; returns ExitStatus::not_understood.
[[nodiscard]] int fail(const Surroundings& surroundings, std::string_view why);
/// `text` is for people; with `--json`, `json` is shown.
void show(const CommandLine& line, const Surroundings& surroundings, const Json& json,
          std::string_view text);

}  // namespace falproxy::app
