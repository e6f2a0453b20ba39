// openai.hpp: the OpenAI images API as values: requests read, answers, stream events and errors
// written.
//
// Pure functions. Sources: OpenAI's API reference (images, models, errors) and recorded exchanges
// with api.openai.com.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/body_source.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/form_reader.hpp"
#include "falproxy/http.hpp"
#include "falproxy/json.hpp"
#include "falproxy/media.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/runner.hpp"
#include "falproxy/vocabulary.hpp"
#include "falproxy/wish.hpp"

/// OpenAI's images API: requests read, answers, stream events and errors written.
namespace falproxy::inline v0::openai {

/// Reads the JSON body of a generation or an edit. Absent and null are the same; a name that stands
/// twice is an error.
///
/// Pictures come as `images` or `image`: one or several of a string, {"image_url": string},
/// {"image_url": {"url": string}}, {"url": string} or {"b64_json": string}, each an http(s)
/// address, or a data URL or bare base64 of a png, jpeg, webp, gif or avif, which becomes its
/// bytes; what those need is taken from `memory` (null: without a limit). `image_url` itself stays
/// native: many models have it. If `size` is absent or "auto", `width` and `height`, else
/// `aspect_ratio`, become the SizeWish, and stay in `native` too: the translation lets a native
/// field win that the model has.
///
/// `prompt` is demanded of a generation that brings no picture; for the rest the model decides.
/// `makes`: of what is no picture, fields that only pictures have (`quality`, `style`,
/// `output_format`, `response_format`, ...) are the model's own. Errors name the field:
/// invalid_json, missing_parameter, invalid_type, invalid_value, unsupported_parameter (file_id),
/// unsupported_file, invalid_mask, body_too_large.
[[nodiscard]] Result<Wish> parse_json(Intent intent, std::string_view body,
                                      const RequestLimits& limits, const Codecs& codecs,
                                      MemoryBudget* memory = nullptr, Medium makes = Medium::image);

/// A request that a program makes, checked as parse_json() checks one. `fields`: an object, with
/// the members of a body but for its pictures. An InputFile needs its `bytes` (with `owner`) or
/// its `url` (http, https or a data URL). Errors: the same.
[[nodiscard]] Result<Wish> make_request(Intent intent, const Json& fields,
                                        const std::vector<InputFile>& images,
                                        const std::optional<InputFile>& mask,
                                        const RequestLimits& limits, const Codecs& codecs);

/// One part of a multipart/form-data body. The bytes are not copied.
struct FormPart {
  std::string name;                      ///< may end in `[]` or `[0]`
  std::optional<std::string> file_name;  ///< there for a file, even if empty; none for text
  std::string content_type;  ///< as the part says; empty if it says nothing. Files are told by
                             ///< their bytes, not by this
  /// Keeps `bytes` alive; shared with the InputFile that the part becomes.
  std::shared_ptr<const std::string> owner;
  std::string_view bytes;  ///< the content; text must be UTF-8 without NUL
  /// The whole content, if it is not in memory: `bytes` is its beginning, 64 KiB.
  std::shared_ptr<const BodySource> source = nullptr;
  /// The same head, bytes and source, whoever owns them.
  bool operator==(const FormPart& other) const noexcept {
    return name == other.name && file_name == other.file_name &&
           content_type == other.content_type && bytes == other.bytes && source == other.source;
  }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const FormPart& part);

/// Gathers the parts of a form for parse_form(), as a FormReader finds them. A picture may have
/// RequestLimits::max_upload_bytes, all other text together max_text_bytes. What a part's
/// Content-Transfer-Encoding says is base64 is decoded.
class FormGatherer final : public FormSink {
 public:
  /// Which parts may be files.
  enum class Files {
    pictures,  ///< those of an edit
    sound      ///< `file`, of a transcription
  };
  /// What it holds is taken from `memory` (null: without a limit), and so is what it hands out, as
  /// long as anybody has it. `expected_bytes`: of the whole body; 0: not known. Files of more than
  /// 256 KiB go to `spools` as they come; null: they stay in memory. All of these must outlive it.
  FormGatherer(const RequestLimits& limits, const Codecs& codecs, MemoryBudget* memory,
               std::size_t expected_bytes, Files files = Files::pictures,
               SpoolPlace* spools = nullptr);

  /// Errors: unsupported_parameter (a file in a field that takes none), invalid_value (a
  /// Content-Transfer-Encoding that is not known), overloaded.
  Result<Done> begin_part(FormPartHead head) override;
  /// Errors: body_too_large, overloaded.
  Result<Done> append(std::string_view bytes) override;

  /// All parts, once the body is over; called once. Errors: invalid_value (no base64), overloaded.
  [[nodiscard]] Result<std::vector<FormPart>> take();
  /// Of all text that is neither a file nor the address of a picture: what JSON may be made of.
  [[nodiscard]] std::size_t text_bytes() const noexcept { return text_bytes_; }
  /// Of pictures that came as data URLs in text.
  [[nodiscard]] std::size_t data_url_bytes() const noexcept { return data_url_bytes_; }

 private:
  struct Place {
    std::size_t begin;  // in bytes_
    std::size_t end;
    bool base64;
  };
  [[nodiscard]] Result<Done> decode(FormPart& part);
  [[nodiscard]] Result<Done> put_away();
  [[nodiscard]] Result<Done> end_part();
  [[nodiscard]] bool is_file_field(std::string_view name) const noexcept;

  const RequestLimits& limits_;
  const Codecs& codecs_;
  MemoryBudget* const memory_;
  const Files files_;
  SpoolPlace* spools_;            // null: what comes stays in memory
  std::unique_ptr<Spool> spool_;  // of the last part, if it is too long for memory
  CountedText bytes_;             // of all parts, so that nothing is copied but when it grows
  MemoryShare heads_;
  std::size_t text_bytes_ = 0;
  std::size_t data_url_bytes_ = 0;
  std::size_t most_ = 0;   // that the last part may have
  bool picture_ = false;   // that is what the last part is
  bool data_url_ = false;  // and as text of a model's own field
  std::vector<FormPart> parts_;
  std::vector<Place> places_;
};

/// As written above.
[[nodiscard]] std::string_view name_of(FormGatherer::Files value) noexcept;

/// Reads the parts of an edit or a variation. Pictures stand in `image`, `image[]`, `image[0]` or
/// `images[]`, in order, and in `mask`; as files, or as text as in JSON. `image_url` is a picture
/// if there is no other. Text of an unknown field that is one JSON text (`7`, `0.5`, `true`,
/// `{"a":1}`, `"7"`) is that value, any other text is a string; `name[]` gathers an array. `makes`
/// and errors as above.
[[nodiscard]] Result<Wish> parse_form(Intent intent, std::vector<FormPart> parts,
                                      const RequestLimits& limits, const Codecs& codecs,
                                      MemoryBudget* memory = nullptr, Medium makes = Medium::image);

/// What OpenAI bills by. fal counts otherwise (x-fal-billable-units), so an answer has zeros: the
/// object is there for clients that demand it.
struct Usage {
  std::int64_t input_text_tokens = 0;  ///< together with the image tokens written as `input_tokens`
  std::int64_t input_image_tokens = 0;   ///< written in `input_tokens_details`
  std::int64_t output_image_tokens = 0;  ///< written as `output_tokens`
  /// Written as `cost`, in US dollars, as OpenRouter has it; none: not known, left out.
  std::optional<Usd> cost = std::nullopt;
  bool operator==(const Usage&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Usage& usage);

/// One answered picture.
struct ImageData {
  Body content;  ///< an address (http, https or a data URI), or raw base64; in pieces, so that
                 ///< nothing large is copied
  bool is_url = true;  ///< `url` rather than `b64_json`
  /// What a model made of the prompt; none if it does not say.
  std::optional<std::string> revised_prompt = std::nullopt;
  bool operator==(const ImageData&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ImageData& data);

/// The answer to an image request, for write().
struct ImageResponse {
  std::int64_t created = 0;          ///< Unix time in seconds
  std::vector<ImageData> data = {};  ///< in order; at least one if it comes from a model
  std::optional<std::string> size = std::nullopt;  ///< "1024x768": what was resolved, never "auto"
  /// `low`, `medium` or `high`; none: not known, left out.
  std::optional<std::string> quality = std::nullopt;
  /// `transparent` or `opaque`; none: not known, left out.
  std::optional<std::string> background = std::nullopt;
  /// OpenAI's word, such as "png"; none: not known, left out.
  std::optional<std::string> output_format = std::nullopt;
  Usage usage = {};  ///< always written
  bool operator==(const ImageResponse&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ImageResponse& response);

/// What a run made, as OpenAI answers it; `products`: at least one.
[[nodiscard]] ImageResponse image_response(std::vector<Product> products);
/// `application/json`, without null members in `data`.
[[nodiscard]] Body write(const ImageResponse& response);

/// One server-sent event of a streamed generation or edit.
struct ImageEvent {
  /// With `intent` the name of the event.
  enum class Kind {
    partial_image,  ///< `image_generation.partial_image`, `image_edit.partial_image`
    completed       ///< `image_generation.completed`, `image_edit.completed`; one for each picture
  };
  Kind kind = Kind::completed;         ///< `completed` carries the usage
  Intent intent = Intent::generation;  ///< `variation` is written as an edit
  Body b64_json = {};                  ///< raw base64, without a data: prefix
  int partial_image_index = 0;         ///< 0-based; written for partial_image alone
  std::int64_t created_at = 0;         ///< Unix time in seconds
  std::string size,                    ///< "1024x768"; empty: written as "auto"
      quality,                         ///< low, medium or high; empty: written as "auto"
      background,                      ///< transparent or opaque; empty: written as "auto"
      output_format;                   ///< OpenAI's word; empty: written as "png"
  Usage usage = {};                    ///< written for `completed` alone
  bool operator==(const ImageEvent&) const = default;
};
/// As above.
[[nodiscard]] std::string_view name_of(ImageEvent::Kind value) noexcept;
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ImageEvent& event);
/// One product of a stream, which comes in base64; `partial_image_index`: that of a preview, none:
/// it is completed.
[[nodiscard]] ImageEvent image_event(const Product& product, Intent intent,
                                     std::optional<int> partial_image_index = std::nullopt);
/// `event:` and `data:` lines, ended by a blank line.
[[nodiscard]] Body write(const ImageEvent& event);
/// `event: error` with `{"type":"error","error":{...}}`, the object of write_error(); nothing comes
/// after it.
[[nodiscard]] std::string write_error_event(const Error& error, std::string_view model);

/// How a kind of error looks to an OpenAI client: one row of docs/errors.md.
struct ErrorRow {
  int status;             ///< of HTTP
  std::string_view type;  ///< OpenAI's class of error, such as "invalid_request_error"; a literal
  /// What clients branch on, such as "invalid_value"; a literal, never empty.
  std::string_view code;
  bool retry;  ///< false: the answer carries `x-should-retry: false`
  bool operator==(const ErrorRow&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ErrorRow& row);
/// Every kind has a row; see docs/errors.md for what to do about each.
[[nodiscard]] ErrorRow describe(ErrorKind kind) noexcept;
/// The body `{"error":{"message","type","param","code"}}`; `model` chooses between
/// moderation_blocked and, for names that begin with dall-e, content_policy_violation. Of what
/// makes no pictures, `type` and `code` speak of none.
[[nodiscard]] std::string write_error(const Error& error, std::string_view model = {},
                                      Medium makes = Medium::image);

/// A model as GET /v1/models shows it.
struct ModelEntry {
  std::string id;                              ///< the name that requests give as `model`
  std::int64_t created = 0;                    ///< Unix time in seconds
  std::string owned_by;                        ///< the owner in the fal endpoint id: "fal-ai"
  std::optional<Json> details = std::nullopt;  ///< becomes the member `falproxy`
  bool is_chat = false;                        ///< it writes, and makes no files
  bool operator==(const ModelEntry&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ModelEntry& entry);
/// The body of GET /v1/models: `{"object":"list","data":[...]}`.
[[nodiscard]] std::string write_models(const std::vector<ModelEntry>& models);
/// The body of GET /v1/models/{id}: one of those objects.
[[nodiscard]] std::string write_model(const ModelEntry& model);

}  // namespace falproxy::inline v0::openai
