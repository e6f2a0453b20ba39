// openrouter.hpp: OpenRouter's images API as values: requests read, answers and events written.
//
// Pure functions. Sources: OpenRouter's API reference and @openrouter/sdk.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "falproxy/codecs.hpp"
#include "falproxy/http.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/money.hpp"
#include "falproxy/product.hpp"
#include "falproxy/result.hpp"
#include "falproxy/wish.hpp"

/// OpenRouter's images API: requests read, answers and events written.
namespace falproxy::inline v0::openrouter {

/// Reads the JSON body of POST /api/v1/images: as openai::parse_json(), but that pictures come in
/// `input_references`, as parts of a chat, and that what is for other vendors is dropped. Errors:
/// those of openai::parse_json(), with `input_references` as the field of a picture.
[[nodiscard]] Result<Wish> parse_images(std::string_view body, const RequestLimits& limits,
                                        const Codecs& codecs, MemoryBudget* memory);
/// The same error for who sent pictures as `input_references`: OpenAI's `image` and `images` are
/// named so in its field and its message.
[[nodiscard]] Error references_error(Error error);

/// `application/json`. `products`: in base64, at least one. `cost`: none if it is not known.
[[nodiscard]] Body write_images(const std::vector<Product>& products, std::optional<Usd> cost);
/// One event of a stream; with an index it is a preview. `cost`: of the whole request, for its last
/// event; none: it is not known.
[[nodiscard]] Body write_image_event(const Product& product, std::optional<int> preview,
                                     std::optional<Usd> cost = {});

}  // namespace falproxy::inline v0::openrouter
