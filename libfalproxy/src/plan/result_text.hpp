// result_text.hpp: JSON text whose long strings (pictures as data URIs) are read in place instead
// of being copied.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::plan {

class ResultText {
 public:
  /// Errors: invalid_json.
  [[nodiscard]] static Result<ResultText> parse(std::shared_ptr<const std::string> body);

  [[nodiscard]] const nlohmann::json& root() const noexcept { return root_; }
  /// The text of a string of the tree: a view into the body, or into an owned copy where it was
  /// short or had escapes.
  [[nodiscard]] Piece text(const nlohmann::json& string) const;

 private:
  std::shared_ptr<const std::string> body_;
  std::vector<std::string_view> long_texts_;
  nlohmann::json root_;  // a long string is a short mark in here
};

}  // namespace falproxy::inline v0::plan
