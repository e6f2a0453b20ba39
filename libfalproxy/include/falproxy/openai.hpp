// openai.hpp: the OpenAI images API as values: requests read, answers, stream events and errors written.
//
// Pure functions. Sources: OpenAI's API reference (images, models, errors) and recorded exchanges with api.openai.com.
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

namespace falproxy::openai {

enum class ImageOperation { generation, edit, variation };

/// What `size` asks for, or `width` and `height`, or `aspect_ratio`, where a request has those instead.
struct SizeWish {
  enum class Kind { none, automatic, pixels, ratio };
  Kind kind = Kind::none;
  std::uint32_t width = 0;   ///< pixels, or the ratio's first term
  std::uint32_t height = 0;  ///< pixels, or the ratio's second term
  bool operator==(const SizeWish&) const = default;
};

/// A picture that came with a request: an address that fal may fetch, or bytes.
struct ImageInput {
  std::string url = {};                                ///< http, https or data; empty where `bytes` is set
  std::shared_ptr<const std::string> owner = nullptr;  ///< keeps `bytes` alive
  std::string_view bytes = {};
  std::string name = {};  ///< the file's name, for messages
};

/// One image request, its values checked for type and range as far as they do not depend on the model.
struct ImageRequest {
  ImageOperation operation = ImageOperation::generation;
  std::optional<std::string> model = std::nullopt;
  std::optional<std::string> prompt = std::nullopt;
  std::optional<int> n = std::nullopt;
  SizeWish size = {};
  std::optional<std::string> quality = std::nullopt;
  std::optional<std::string> style = std::nullopt;
  std::optional<std::string> background = std::nullopt;
  std::optional<std::string> moderation = std::nullopt;
  std::optional<std::string> output_format = std::nullopt;  ///< lower case; "jpg" is "jpeg"
  std::optional<int> output_compression = std::nullopt;     ///< 0..100
  std::optional<std::string> input_fidelity = std::nullopt;
  std::optional<ResponseFormat> response_format = std::nullopt;
  std::optional<std::string> user = std::nullopt;  ///< else safety_identifier
  bool stream = false;
  std::optional<int> partial_images = std::nullopt;  ///< 0..3
  std::vector<ImageInput> images = {};
  std::optional<ImageInput> mask = std::nullopt;
  /// Every other field of the body that is not null, in bytewise order of names: the model's own (`seed` included).
  std::vector<std::pair<std::string, Json>> native = {};
};

struct RequestLimits {
  int max_images = 10;  ///< n
  std::size_t max_upload_bytes = 50u << 20;
  std::size_t max_input_images = 16;
  std::size_t max_text_bytes = 1u << 20;  ///< of a JSON body without the data URIs in it, and of a form's text part
  JsonLimits json = {};
};

/// Reads the JSON body of a generation or an edit. Absent and null are the same; a name that stands twice is an error.
///
/// Pictures come as `images` or `image`: one or several of a string, {"image_url": string}, {"image_url": {"url": string}}
/// or {"url": string}, each an http(s) address or a data URL of a png, jpeg, webp or gif. `image_url` itself stays native:
/// many models have it. Where `size` is absent or "auto", `width` and `height`, else `aspect_ratio`, become the SizeWish,
/// and stay in `native` too: the translation lets a native field win that the model has.
///
/// `prompt` is demanded of a generation that brings no picture; for the rest the model decides.
/// Errors name the field: invalid_json, missing_parameter, invalid_type, invalid_value, unsupported_parameter (file_id),
/// unsupported_file, invalid_mask, body_too_large.
[[nodiscard]] Result<ImageRequest> parse_json(ImageOperation operation, std::string_view body, const RequestLimits& limits,
                                              const Codecs& codecs);

/// One part of a multipart/form-data body. The bytes are not copied.
struct FormPart {
  std::string name;
  std::optional<std::string> file_name;
  std::string content_type;
  std::shared_ptr<const std::string> owner;
  std::string_view bytes;
};
/// Reads the parts of an edit or a variation. Pictures stand in `image`, `image[]`, `image[0]` or `images[]`, in order,
/// and in `mask`; as files, or as text that is an address. Text of an unknown field that is one JSON text (`7`, `0.5`,
/// `true`, `{"a":1}`, `"7"`) is that value, any other text is a string; `name[]` gathers an array. Errors as above.
[[nodiscard]] Result<ImageRequest> parse_form(ImageOperation operation, std::vector<FormPart> parts,
                                              const RequestLimits& limits, const Codecs& codecs);

struct Usage {
  std::int64_t input_text_tokens = 0;
  std::int64_t input_image_tokens = 0;
  std::int64_t output_image_tokens = 0;
  bool operator==(const Usage&) const = default;
};

/// One answered picture.
struct ImageData {
  Body content;  ///< an address (http, https or a data URI), or raw base64; in pieces, so that nothing large is copied
  bool is_url = true;  ///< `url` rather than `b64_json`
  std::optional<std::string> revised_prompt = std::nullopt;
};

struct ImageResponse {
  std::int64_t created = 0;  ///< Unix time in seconds
  std::vector<ImageData> data = {};
  std::optional<std::string> size = std::nullopt;  ///< "1024x768": what was resolved, never "auto"
  std::optional<std::string> quality = std::nullopt;
  std::optional<std::string> background = std::nullopt;
  std::optional<std::string> output_format = std::nullopt;
  Usage usage = {};
};

/// `application/json`, without null members in `data`.
[[nodiscard]] Body write(const ImageResponse& response);

/// One server-sent event of a streamed generation or edit.
struct ImageEvent {
  enum class Kind { partial_image, completed };
  Kind kind = Kind::completed;
  ImageOperation operation = ImageOperation::generation;
  Body b64_json = {};
  int partial_image_index = 0;
  std::int64_t created_at = 0;
  std::string size, quality, background, output_format;  ///< empty: written as "auto", the format as "png"
  Usage usage = {};
};
[[nodiscard]] Body write(const ImageEvent& event);  ///< `event:` and `data:` lines, ended by a blank line
[[nodiscard]] std::string write_error_event(const Error& error, std::string_view model);

/// How a kind of error looks to an OpenAI client: one row of docs/errors.md.
struct ErrorRow {
  int status;
  std::string_view type;
  std::string_view code;
  bool retry;  ///< false: the answer carries `x-should-retry: false`
};
[[nodiscard]] ErrorRow describe(ErrorKind kind) noexcept;
/// The body `{"error":{"message","type","param","code"}}`; `model` chooses between moderation_blocked and, for names that
/// begin with dall-e, content_policy_violation.
[[nodiscard]] std::string write_error(const Error& error, std::string_view model = {});

struct ModelEntry {
  std::string id;
  std::int64_t created = 0;  ///< Unix time in seconds
  std::string owned_by;
  std::optional<Json> details = std::nullopt;  ///< becomes the member `falproxy`
};
[[nodiscard]] std::string write_models(const std::vector<ModelEntry>& models);
[[nodiscard]] std::string write_model(const ModelEntry& model);

}  // namespace falproxy::openai
