// openai.hpp: the OpenAI images API as values: requests read, answers, stream events and errors
// written.
//
// Pure functions. Sources: OpenAI's API reference (images, models, errors) and recorded exchanges
// with api.openai.com.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/http.hpp"
#include "falproxy/json.hpp"
#include "falproxy/result.hpp"
#include "falproxy/vocabulary.hpp"

/// OpenAI's images API: requests read, answers, stream events and errors written.
namespace falproxy::openai {

/// What is asked for, by the route that the request came to.
enum class ImageOperation {
  generation,  ///< POST /v1/images/generations
  edit,        ///< POST /v1/images/edits
  variation    ///< POST /v1/images/variations
};

/// What `size` asks for, or `width` and `height`, or `aspect_ratio`, where a request has those
/// instead.
struct SizeWish {
  /// How far the request settles it.
  enum class Kind {
    none,       ///< nothing was said: the model's default
    automatic,  ///< "auto"
    pixels,     ///< width and height are pixels, 1 to 16384
    ratio       ///< width and height are the terms of a ratio, in lowest terms ("19.5:9" is 13:6)
  };
  Kind kind = Kind::none;    ///< for `none` and `automatic` width and height are 0
  std::uint32_t width = 0;   ///< pixels, or the ratio's first term
  std::uint32_t height = 0;  ///< pixels, or the ratio's second term
  bool operator==(const SizeWish&) const = default;
};

/// A picture that came with a request: an address that fal may fetch, or bytes.
struct ImageInput {
  std::string url = {};  ///< http, https or data; empty where `bytes` is set
  std::shared_ptr<const std::string> owner = nullptr;  ///< keeps `bytes` alive
  /// The file as it was sent, of a type that sniff() knows; empty where `url` is set.
  std::string_view bytes = {};
  std::string name = {};  ///< the file's name, for messages
};

/// One image request, its values checked for type and range as far as they do not depend on the
/// model.
struct ImageRequest {
  /// By the route; a generation may carry pictures, too.
  ImageOperation operation = ImageOperation::generation;
  std::optional<std::string> model = std::nullopt;   ///< none: the default model; to_fal() and the
                                                     ///< gateway's answer speak of it by this name
  std::optional<std::string> prompt = std::nullopt;  ///< none where it is empty, too; in characters
                                                     ///< it is bounded by the model's document
  /// 1 to RequestLimits::max_images; none: 1, or the operator's default.
  std::optional<int> n = std::nullopt;
  SizeWish size = {};  ///< from `size`, else from native fields
  /// OpenAI's words (low, medium, high, auto, hd, standard) or a model's own.
  std::optional<std::string> quality = std::nullopt;
  std::optional<std::string> style = std::nullopt;  ///< `natural`, `vivid`, or a model's own
  /// `transparent`, `opaque`, `auto`, or a model's own.
  std::optional<std::string> background = std::nullopt;
  std::optional<std::string> moderation = std::nullopt;      ///< `low`, `auto`, or a model's own
  std::optional<std::string> output_format = std::nullopt;   ///< lower case; "jpg" is "jpeg"
  std::optional<int> output_compression = std::nullopt;      ///< 0..100
  std::optional<std::string> input_fidelity = std::nullopt;  ///< `low`, `high`, or a model's own
  /// None: the model's settings, the operator's default and the model's name decide.
  std::optional<ResponseFormat> response_format = std::nullopt;
  std::optional<std::string> user = std::nullopt;  ///< else safety_identifier
  bool stream = false;  ///< answered by ImageEvents, always with b64_json
  std::optional<int> partial_images = std::nullopt;  ///< 0..3
  /// At most RequestLimits::max_input_images, in the order of the request.
  std::vector<ImageInput> images = {};
  /// A PNG as large as the first picture, as far as both came as bytes.
  std::optional<ImageInput> mask = std::nullopt;
  /// Every other field of the body that is not null, in bytewise order of names: the model's own
  /// (`seed` included).
  std::vector<std::pair<std::string, Json>> native = {};
};

/// What one request may hold; the server fills it from the settings.
struct RequestLimits {
  int max_images = 10;                       ///< n
  std::size_t max_upload_bytes = 50u << 20;  ///< MAX_UPLOAD_BYTES, of one picture once decoded
  std::size_t max_input_images = 16;         ///< OpenAI's own limit for edits
  /// Of a JSON body without the data URIs in it, and of a form's text part.
  std::size_t max_text_bytes = 1u << 20;
  JsonLimits json = {};  ///< of a JSON body, and of JSON in the text of a form
};

/// Reads the JSON body of a generation or an edit. Absent and null are the same; a name that stands
/// twice is an error.
///
/// Pictures come as `images` or `image`: one or several of a string, {"image_url": string},
/// {"image_url": {"url": string}} or {"url": string}, each an http(s) address or a data URL of a
/// png, jpeg, webp or gif. `image_url` itself stays native: many models have it. Where `size` is
/// absent or "auto", `width` and `height`, else `aspect_ratio`, become the SizeWish, and stay in
/// `native` too: the translation lets a native field win that the model has.
///
/// `prompt` is demanded of a generation that brings no picture; for the rest the model decides.
/// Errors name the field: invalid_json, missing_parameter, invalid_type, invalid_value,
/// unsupported_parameter (file_id), unsupported_file, invalid_mask, body_too_large.
[[nodiscard]] Result<ImageRequest> parse_json(ImageOperation operation, std::string_view body,
                                              const RequestLimits& limits, const Codecs& codecs);

/// One part of a multipart/form-data body. The bytes are not copied.
struct FormPart {
  std::string name;                      ///< may end in `[]` or `[0]`
  std::optional<std::string> file_name;  ///< there for a file, even if empty; none for text
  std::string content_type;  ///< as the part says; empty where it says nothing. Files are told by
                             ///< their bytes, not by this
  /// Keeps `bytes` alive; shared with the ImageInput that the part becomes.
  std::shared_ptr<const std::string> owner;
  std::string_view bytes;  ///< the content; text must be UTF-8 without NUL
};
/// Reads the parts of an edit or a variation. Pictures stand in `image`, `image[]`, `image[0]` or
/// `images[]`, in order, and in `mask`; as files, or as text that is an address. Text of an unknown
/// field that is one JSON text (`7`, `0.5`, `true`, `{"a":1}`, `"7"`) is that value, any other text
/// is a string; `name[]` gathers an array. Errors as above.
[[nodiscard]] Result<ImageRequest> parse_form(ImageOperation operation, std::vector<FormPart> parts,
                                              const RequestLimits& limits, const Codecs& codecs);

/// What OpenAI bills by. fal counts otherwise (x-fal-billable-units), so an answer has zeros: the
/// object is there for clients that demand it.
struct Usage {
  std::int64_t input_text_tokens = 0;  ///< together with the image tokens written as `input_tokens`
  std::int64_t input_image_tokens = 0;   ///< written in `input_tokens_details`
  std::int64_t output_image_tokens = 0;  ///< written as `output_tokens`
  bool operator==(const Usage&) const = default;
};

/// One answered picture.
struct ImageData {
  Body content;  ///< an address (http, https or a data URI), or raw base64; in pieces, so that
                 ///< nothing large is copied
  bool is_url = true;  ///< `url` rather than `b64_json`
  /// What a model made of the prompt; none where it does not say.
  std::optional<std::string> revised_prompt = std::nullopt;
};

/// The answer to an image request, for write().
struct ImageResponse {
  std::int64_t created = 0;          ///< Unix time in seconds
  std::vector<ImageData> data = {};  ///< in order; at least one where it comes from a model
  std::optional<std::string> size = std::nullopt;  ///< "1024x768": what was resolved, never "auto"
  /// `low`, `medium` or `high`; none: not known, left out.
  std::optional<std::string> quality = std::nullopt;
  /// `transparent` or `opaque`; none: not known, left out.
  std::optional<std::string> background = std::nullopt;
  /// OpenAI's word, such as "png"; none: not known, left out.
  std::optional<std::string> output_format = std::nullopt;
  Usage usage = {};  ///< always written
};

/// `application/json`, without null members in `data`.
[[nodiscard]] Body write(const ImageResponse& response);

/// One server-sent event of a streamed generation or edit.
struct ImageEvent {
  /// With `operation` the name of the event.
  enum class Kind {
    partial_image,  ///< `image_generation.partial_image`, `image_edit.partial_image`
    completed       ///< `image_generation.completed`, `image_edit.completed`; one for each picture
  };
  Kind kind = Kind::completed;                            ///< `completed` carries the usage
  ImageOperation operation = ImageOperation::generation;  ///< `variation` is written as an edit
  Body b64_json = {};                                     ///< raw base64, without a data: prefix
  int partial_image_index = 0;  ///< 0-based; written for partial_image alone
  std::int64_t created_at = 0;  ///< Unix time in seconds
  std::string size,             ///< "1024x768"; empty: written as "auto"
      quality,                  ///< low, medium or high; empty: written as "auto"
      background,               ///< transparent or opaque; empty: written as "auto"
      output_format;            ///< OpenAI's word; empty: written as "png"
  Usage usage = {};             ///< written for `completed` alone
};
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
};
/// Every kind has a row; see docs/errors.md for what to do about each.
[[nodiscard]] ErrorRow describe(ErrorKind kind) noexcept;
/// The body `{"error":{"message","type","param","code"}}`; `model` chooses between
/// moderation_blocked and, for names that begin with dall-e, content_policy_violation.
[[nodiscard]] std::string write_error(const Error& error, std::string_view model = {});

/// A model as GET /v1/models shows it.
struct ModelEntry {
  std::string id;                              ///< the name that requests give as `model`
  std::int64_t created = 0;                    ///< Unix time in seconds
  std::string owned_by;                        ///< the owner in the fal endpoint id: "fal-ai"
  std::optional<Json> details = std::nullopt;  ///< becomes the member `falproxy`
};
/// The body of GET /v1/models: `{"object":"list","data":[...]}`.
[[nodiscard]] std::string write_models(const std::vector<ModelEntry>& models);
/// The body of GET /v1/models/{id}: one of those objects.
[[nodiscard]] std::string write_model(const ModelEntry& model);

}  // namespace falproxy::openai
