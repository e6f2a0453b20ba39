// documents.hpp: the OpenAPI documents of falsim's models, and what a document says of a model's
// input and output.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::testing {

/// One document as it is served, and read far enough to check inputs and to write results.
class Model {
 public:
  /// Errors: invalid_document.
  [[nodiscard]] static Result<Model> read(std::string text);

  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] const Body& text() const noexcept { return text_; }
  /// The schema of the input, and of the result; follow references with resolve().
  [[nodiscard]] const nlohmann::json& input() const { return resolve(*input_); }
  [[nodiscard]] const nlohmann::json& output() const { return resolve(*output_); }
  /// The schema that `schema` refers to or wraps, or itself. A dangling reference allows
  /// everything.
  [[nodiscard]] const nlohmann::json& resolve(const nlohmann::json& schema) const;

 private:
  std::string endpoint_;
  Body text_;
  std::shared_ptr<const nlohmann::json> document_;
  const nlohmann::json* input_ = nullptr;   // in *document_
  const nlohmann::json* output_ = nullptr;  // in *document_
};

/// Every model that falsim plays.
class Models {
 public:
  /// Errors: invalid_document naming the file, invalid_settings where the folder cannot be read.
  [[nodiscard]] static Result<Models> load(bool bundled, const std::string& folder);

  [[nodiscard]] const Model* find(std::string_view endpoint) const;
  [[nodiscard]] const std::map<std::string, Model, std::less<>>& all() const noexcept {
    return models_;
  }

 private:
  std::map<std::string, Model, std::less<>> models_;
};

/// The documents of the folder models, compiled in.
[[nodiscard]] const std::vector<std::string_view>& bundled_documents();

/// What is wrong with `input`, as entries of pydantic's `detail`; an empty array: nothing. Stricter
/// than fal: a number written as a string is refused.
[[nodiscard]] nlohmann::json validate(const Model& model, const nlohmann::json& input);

/// Names in `input` that the document does not know; fal ignores those.
[[nodiscard]] std::vector<std::string> unknown_inputs(const Model& model,
                                                      const nlohmann::json& input);

}  // namespace falproxy::inline v0::testing
