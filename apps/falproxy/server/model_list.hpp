// model_list.hpp: the answers to GET /v1/models and /v1/models/{id}, made once and then only sent.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/catalog.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"

namespace falproxy::app {

/// As of one moment; immutable.
class ModelList {
 public:
  /// `created`: what the models say of themselves; fal's documents do not.
  [[nodiscard]] static std::shared_ptr<const ModelList> make(const Catalog& catalog,
                                                             WallTime created);

  /// True where making it again would give something else.
  [[nodiscard]] bool is_outdated(const Catalog& catalog) const;

  [[nodiscard]] const Piece& all() const noexcept { return all_; }
  /// Null: there is no such model.
  [[nodiscard]] const Piece* find(std::string_view id) const;
  /// Models whose document is there.
  [[nodiscard]] std::size_t usable() const noexcept { return usable_; }

 private:
  // What it was made of: pointers that change when a document does.
  using Source = std::vector<std::pair<std::string, std::shared_ptr<const schema::ModelSchema>>>;
  [[nodiscard]] static Source source_of(const Catalog& catalog);

  Source source_;
  Piece all_;
  std::map<std::string, Piece, std::less<>> each_;
  std::size_t usable_ = 0;
};

/// The answer to GET /v1/models/{id} for a model of which no document is known.
[[nodiscard]] Piece plain_model(const CatalogModel& model, WallTime created);

}  // namespace falproxy::app
