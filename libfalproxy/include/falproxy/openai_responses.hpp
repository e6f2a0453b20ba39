// openai_responses.hpp: OpenAI's Responses API with its image tool, as values: requests read,
// responses and their events written.
//
// Pure functions. Sources: OpenAI's API reference, recorded exchanges with api.openai.com, and what
// SDKs send and read.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/codecs.hpp"
#include "falproxy/json.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/money.hpp"
#include "falproxy/openai_chat.hpp"
#include "falproxy/print.hpp"
#include "falproxy/product.hpp"
#include "falproxy/result.hpp"
#include "falproxy/run_status.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0::openai {

/// A request for a response in which a picture is made.
struct ResponseRequest {
  /// As ChatRequest::wish; its model is that of the image tool, if the tool names one.
  Wish wish = {};
  std::vector<InputFile> earlier = {};  ///< as ChatRequest::earlier, of items that came whole
  std::string model = {};               ///< the request's own; empty: it names none
  std::string tool_model = {};          ///< the image tool's; empty: it names none
  bool has_tool = false;      ///< the request has an image tool, so that the client reads its item
  bool may_edit = true;       ///< `action` is not `generate`
  std::string previous = {};  ///< `previous_response_id`; empty: none
  /// Ids of earlier items (`ig_...`) that are to be edited, in place of `earlier`.
  std::vector<std::string> references = {};
  std::optional<Chore> chore = std::nullopt;  ///< as ChatRequest::chore
  std::vector<Leftover> leftovers = {};       ///< to be told
  Json echo = {};                             ///< members that a response repeats
  bool operator==(const ResponseRequest&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ResponseRequest& request);

/// Reads the JSON body of POST /v1/responses. `is_ours`: as of parse_chat(). Errors name the field:
/// invalid_json, missing_parameter (`input`), invalid_type, invalid_value, unsupported_parameter
/// (`background`, `conversation`, `prompt`, `tool_choice`, a `file_id`), unsupported_value
/// (`text.format`), unsupported_file, body_too_large.
[[nodiscard]] Result<ResponseRequest> parse_response_request(
    std::string_view body, const RequestLimits& limits, const Codecs& codecs, MemoryBudget* memory,
    const std::function<bool(std::string_view address)>& is_ours);

/// A response, whole or in events.
struct ResponseAnswer {
  RunId id = {};                           ///< of the response and of its items
  std::int64_t created = 0;                ///< Unix time in seconds
  std::string model = {};                  ///< as it was asked for
  Json echo = {};                          ///< ResponseRequest::echo
  bool has_picture = true;                 ///< there is an item of the image tool
  bool edits = false;                      ///< its `action`
  Product product = {};                    ///< size, quality and their like
  TalkPicture picture = {};                ///< its `result`
  Body text = {};                          ///< of the message
  std::optional<Usd> cost = std::nullopt;  ///< none: not known
  bool operator==(const ResponseAnswer&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ResponseAnswer& answer);

/// `application/json`.
[[nodiscard]] Body write(const ResponseAnswer& answer, std::int64_t completed);
/// The events that can go out before there is a picture.
[[nodiscard]] Body write_first_events(const ResponseAnswer& answer);
/// All events after those.
[[nodiscard]] Body write_last_events(const ResponseAnswer& answer, std::int64_t completed);
/// The events after those of a response that failed.
[[nodiscard]] Body write_failed_events(const ResponseAnswer& answer, const Error& error);

/// "resp_" and 32 digits.
[[nodiscard]] std::string response_id(const RunId& id);
/// Of "resp_..." or "ig_..."; none: it is neither.
[[nodiscard]] std::optional<RunId> parse_response_id(std::string_view text) noexcept;

}  // namespace falproxy::inline v0::openai
