// rule.hpp: schemas as they are written, for checking values against them.
//
// A Field is what several schemas come to when they are put together, for whoever maps onto it. A
// Rule keeps each schema and each keyword apart, so that a check says what JSON Schema says.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "falproxy/schema.hpp"

namespace falproxy::inline v0::schema {

/// One schema object. The rules of one document refer to each other, in circles too; they live in
/// one RuleBook.
struct Rule {
  using Link = const Rule*;

  /// What `type` lists.
  struct Type {
    Types types;
    bool null = false;
  };
  struct Bound {
    enum class Of : std::uint8_t {
      minimum,
      maximum,
      exclusive_minimum,
      exclusive_maximum,
      multiple_of,
      min_length,
      max_length,
      min_items,
      max_items,
      min_properties,
      max_properties
    };
    Of of;
    double value;
  };
  struct Combination {
    enum class Kind : std::uint8_t { all_of, any_of, one_of, none_of };
    Kind kind;
    std::vector<Link> rules;
  };
  struct Condition {
    Link condition;
    Link then = nullptr, otherwise = nullptr;
  };
  struct Array {
    std::vector<Link> first;  // of the first elements, one each
    Link rest = nullptr;      // of those behind them
    Link contains = nullptr;
    double min_contains = 1;
    std::optional<double> max_contains;
  };
  struct Object {
    std::vector<std::pair<std::string, Link>> properties;  // in bytewise order
    std::vector<std::pair<std::string, Link>> patterns;
    Link additional = nullptr;
    Link names = nullptr;
    std::vector<std::string> required;
    // Where the first is there, the others must be, or the rule must hold.
    std::vector<std::pair<std::string, std::vector<std::string>>> dependent_required;
    std::vector<std::pair<std::string, Link>> dependent_rules;
  };

  bool never = false;     // the schema `false`
  bool nullable = false;  // OpenAPI 3.0: null passes, whatever else is said
  bool unique = false;
  bool listed = false;        // there is an `enum`, or a `const`
  std::vector<Json> allowed;  // its values
  std::optional<Type> type;
  std::vector<Bound> bounds;
  std::string pattern;
  std::vector<Combination> combinations;
  std::unique_ptr<const Condition> condition;
  std::unique_ptr<const Array> array;
  std::unique_ptr<const Object> object;
};

/// The rules of one document, which must outlive the book, though not the rules taken from it.
class RuleBook {
 public:
  explicit RuleBook(const nlohmann::json& document) : document_(document) {}

  /// The rule of that schema, and with it of all that it refers to.
  [[nodiscard]] std::shared_ptr<const Rule> rule_of(const nlohmann::json& schema);
  /// What passes one of the two; null is "any value".
  [[nodiscard]] std::shared_ptr<const Rule> either(const std::shared_ptr<const Rule>& a,
                                                   const std::shared_ptr<const Rule>& b);

 private:
  using Raw = nlohmann::json;

  Rule::Link link(const Raw& schema);
  Rule::Link link_of_member(const Raw& schema, std::string_view name);
  std::vector<Rule::Link> links(const Raw& list);
  std::vector<std::pair<std::string, Rule::Link>> named_links(const Raw& schema,
                                                              std::string_view name);
  void fill(const Raw& schema, Rule& rule);
  void fill_combinations(const Raw& schema, Rule& rule);
  void fill_array(const Raw& schema, Rule& rule);
  void fill_object(const Raw& schema, Rule& rule);

  const Raw& document_;
  std::shared_ptr<std::deque<Rule>> rules_ = std::make_shared<std::deque<Rule>>();
  std::unordered_map<const Raw*, Rule*> known_;
  std::vector<std::pair<const Raw*, Rule*>> unread_;
};

/// The node that a reference within the document names; null: there is none.
[[nodiscard]] const nlohmann::json* resolve(const nlohmann::json& document,
                                            std::string_view address);

}  // namespace falproxy::inline v0::schema
