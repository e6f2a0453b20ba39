// documents.hpp: a catalogue for one run of a command, and all its documents at once.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "commands/surroundings.hpp"

namespace falproxy::app {

/// Not movable: the catalogue refers to the other two.
class Documents {
 public:
  enum class Cache { used, passed_over };
  /// Errors: invalid_settings.
  [[nodiscard]] static Result<std::unique_ptr<Documents>> create(const Surroundings& surroundings,
                                                                 const Configuration& configuration,
                                                                 Cache cache);

  [[nodiscard]] Catalog& catalog() noexcept { return *catalog_; }
  [[nodiscard]] Transport& transport() noexcept { return *transport_; }
  [[nodiscard]] TimePoint deadline() const;  ///< for what the command still has to fetch

  struct Wanted {
    std::string model;  ///< whose pinned document counts
    fal::EndpointId endpoint;
  };
  using Schema = Result<std::shared_ptr<const schema::ModelSchema>>;
  /// In the order of `wanted`, fetched several at a time.
  [[nodiscard]] std::vector<Schema> fetch(const std::vector<Wanted>& wanted);

 private:
  void tell_causes(const std::vector<Wanted>& wanted, std::vector<Schema>& schemas) const;
  explicit Documents(const Surroundings& surroundings) : surroundings_(surroundings) {}
  const Surroundings& surroundings_;
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<DocumentStore> store_;
  std::unique_ptr<Catalog> catalog_;
};

/// What a model takes, in a few words: "any size", "6 sizes", "ratios 1:1, 16:9".
[[nodiscard]] std::string size_words(const schema::Summary& summary);

/// Runs `task(i)` for each i below `count`, at most `most` at a time.
void for_each_at_once(Executor& executor, std::size_t count, std::size_t most,
                      const std::function<void(std::size_t)>& task);

/// Each fault on a line of its own; for what stops a command before it begins.
void print_faults(std::ostream& err, const std::vector<SettingsFault>& faults);

}  // namespace falproxy::app
