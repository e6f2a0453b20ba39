// test_mapping.hpp: what becomes of a request, for unit tests of a mapping in any framework. Of
// falproxy::testing; it needs no socket, no clock and no OpenSSL.
//
//   falproxy::testing::Mapping m(document);  // the text of a model's OpenAPI document
//   CHECK(m.json(R"({"prompt":"x","size":"1536x1024"})") ==
//         R"({"image_size":{"height":1024,"width":1536},"num_images":1,"prompt":"x"})");
//   CHECK(m.notes().empty());
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/openai.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/profile.hpp"
#include "falproxy/result.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::inline v0::testing {

/// A model, and what requests to it become. Each object belongs to one thread.
class Mapping {
 public:
  /// `document`: the text of the OpenAPI document; if it cannot be used, every request gives its
  /// error. `settings`: what MODELS_FILE would say of the model, taught names included. A seed that
  /// a document fixes stays as it is.
  explicit Mapping(std::string_view document, ModelSettings settings = {},
                   plan::Options options = {});

  /// The input of each job that fal would be sent for the JSON body of a request, one a line, its
  /// members in order of their names. Of a request that is refused: the error, as it prints.
  std::string json(std::string_view body, Intent intent = Intent::generation);
  /// The whole of it. Errors: those of analyze(), parse_json() and make_plan().
  Result<plan::Plan> plan(std::string_view body, Intent intent = Intent::generation);

  /// Of the last request; none if it was refused.
  [[nodiscard]] const std::vector<plan::Note>& notes() const noexcept { return notes_; }
  /// Why the last request was refused; none: it was not.
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }

 private:
  Result<plan::Plan> map(std::string_view body, Intent intent) const;

  Result<std::shared_ptr<const profile::Profile>> profile_;
  ModelSettings settings_;
  plan::Options options_;
  std::vector<plan::Note> notes_;
  std::optional<Error> error_;
};

}  // namespace falproxy::inline v0::testing
