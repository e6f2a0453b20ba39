// openai_chat.hpp: OpenAI's chat completions that answer with pictures, as values: requests read,
// answers and chunks written.
//
// Pure functions. Sources: OpenAI's and OpenRouter's API references, and what chat programs and
// SDKs send and read.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/codecs.hpp"
#include "falproxy/http.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/money.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0::openai {

/// Something that a chat program asks beside what its user says: a title, tags, a connection test.
struct Chore {
  std::string kind = {};    ///< for people: "title", "tags"
  std::string answer = {};  ///< what the program can read, without a model: text or JSON text
  bool operator==(const Chore&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Chore& chore);

/// A field or part of a request that has no effect, and why.
using Leftover = std::pair<std::string, std::string>;

/// A talk in which a picture is asked for.
struct ChatRequest {
  /// The last thing that the user says: its text is the prompt, its pictures are to be edited.
  Wish wish = {};
  /// The pictures of the answer just before, if the user sends none: to be edited by a model that
  /// can.
  std::vector<InputFile> earlier = {};
  int choices = 1;              ///< `n`
  bool asks_for_image = false;  ///< `modalities` holds `image`: the client reads `images`
  bool include_usage = false;   ///< of a stream
  /// If it is there, nothing is to be made: of `wish` there are `model` and `stream` alone.
  std::optional<Chore> chore = std::nullopt;
  std::vector<Leftover> leftovers = {};  ///< to be told
  bool operator==(const ChatRequest&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ChatRequest& request);

/// Reads the JSON body of POST /v1/chat/completions. Fields of chat models are dropped; `size`,
/// `quality`, `seed` and the model's own mean what they do for images, and so do
/// `image_config.aspect_ratio` and `image_config.image_size`, which is `resolution`. `is_ours`:
/// whether an address that stands in Markdown is one of a picture that was made here; of other
/// Markdown nothing is taken. Errors name the field: invalid_json, missing_parameter (`messages`),
/// invalid_type, invalid_value, unsupported_parameter (`tool_choice`), unsupported_value
/// (`response_format`), unsupported_file, body_too_large.
[[nodiscard]] Result<ChatRequest> parse_chat(
    std::string_view body, const RequestLimits& limits, const Codecs& codecs, MemoryBudget* memory,
    const std::function<bool(std::string_view address)>& is_ours);

/// An error in the words of a talk, whose field `messages` or `input` is what images call `prompt`
/// and `images`.
[[nodiscard]] Error talk_error(Error error, std::string_view name);

/// A picture as it is shown in a talk.
struct TalkPicture {
  std::string address = {};  ///< http(s); empty: fal gave none
  Body data_uri = {};        ///< the same as a data URI; empty: it was not fetched
  bool operator==(const TalkPicture&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const TalkPicture& picture);
/// `![image](address)` for each, a blank line between two.
[[nodiscard]] Body markdown_of(const std::vector<TalkPicture>& pictures);

/// An answer of chat, whole or in chunks.
struct ChatAnswer {
  std::string id = {};                                 ///< "chatcmpl-..."
  std::int64_t created = 0;                            ///< Unix time in seconds
  std::string model = {};                              ///< as it was asked for
  std::vector<std::vector<TalkPicture>> choices = {};  ///< of each choice; a text has one, empty
  std::string text = {};                               ///< in place of pictures
  bool shows_images = true;                ///< the member `images`, of what has a data URI
  bool shows_markdown = true;              ///< in `content`
  std::optional<Usd> cost = std::nullopt;  ///< none: not known
  bool operator==(const ChatAnswer&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ChatAnswer& answer);
/// `application/json`.
[[nodiscard]] Body write(const ChatAnswer& answer);
/// The first chunk of each of so many choices, as soon as there will be an answer.
[[nodiscard]] Body write_first_chunks(const ChatAnswer& answer, int choices);
/// All that comes after those, `[DONE]` too.
[[nodiscard]] Body write_last_chunks(const ChatAnswer& answer, bool include_usage);
/// What ends a stream that fails: `data: {"error":{...}}`.
[[nodiscard]] std::string write_chat_error(const Error& error, std::string_view model);

}  // namespace falproxy::inline v0::openai
