// model_list.hpp: the answers to GET /v1/models and /v1/models/{id}, made once and then only sent.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/budgets.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/plan.hpp"

namespace falproxy::app {

/// What all jobs of a plan cost, as far as that is known beforehand; none: it is not.
[[nodiscard]] std::optional<Usd> estimate_of(const plan::Plan& plan, std::string_view endpoint,
                                             const Budgets& budgets);

/// plan::explain(), and what the plan costs; null: not known.
[[nodiscard]] Json explanation_of(const plan::Plan& plan, const Budgets& budgets);

/// As of one moment; immutable.
class ModelList {
 public:
  /// `created`: what the models say of themselves; fal's documents do not.
  [[nodiscard]] static std::shared_ptr<const ModelList> make(const Catalog& catalog,
                                                             const Budgets& budgets,
                                                             const Settings& settings,
                                                             WallTime created);

  /// Making it again would give something else.
  [[nodiscard]] bool is_outdated(const Catalog& catalog, const Budgets& budgets,
                                 const Settings& settings) const;

  [[nodiscard]] const Piece& all() const noexcept { return all_; }
  /// As all(), of those that `may_use` says yes to.
  [[nodiscard]] std::string some(const std::function<bool(std::string_view)>& may_use) const;
  /// Null: there is no such model.
  [[nodiscard]] const Piece* find(std::string_view id) const;
  /// Models whose document is there.
  [[nodiscard]] std::size_t usable() const noexcept { return usable_; }
  [[nodiscard]] bool is_complete() const noexcept { return usable_ == source_.size(); }

 private:
  // What it was made of: pointers that change when a document does.
  using Source = std::vector<std::pair<std::string, std::shared_ptr<const profile::Profile>>>;
  [[nodiscard]] static Source source_of(const Catalog& catalog);

  Source source_;
  std::string media_hosts_;
  std::vector<ChatRoute> chats_;
  std::shared_ptr<const PriceTable> prices_;
  std::vector<openai::ModelEntry> entries_;
  Piece all_;
  std::map<std::string, Piece, std::less<>> each_;
  std::size_t usable_ = 0;
};

/// The answer to GET /v1/models/{id} for a model that is not in the list, by the name asked for.
[[nodiscard]] Piece plain_model(const CatalogModel& model, std::string_view id, WallTime created);
/// The same for a chat model.
[[nodiscard]] Piece plain_chat_model(std::string_view id, WallTime created);

}  // namespace falproxy::app
