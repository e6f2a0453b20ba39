// translate.hpp: the mapping itself: an OpenAI request onto a model's inputs, a model's outputs
// onto an OpenAI answer.
//
// Pure: same input, same bytes. docs/mapping.md has a row for each rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/json.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/result.hpp"
#include "falproxy/schema.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::translate {

/// Something that was rounded, clamped, renamed, defaulted or dropped.
struct Note {
  std::string field;  ///< the OpenAI or native field
  std::string text;   ///< short, ASCII: "1000x1000 became 1024x1024 (multiples of 32)"
  bool operator==(const Note&) const = default;
};
/// For the header `x-falproxy-notes`: printable ASCII, at most `max_bytes`.
[[nodiscard]] std::string header_value(const std::vector<Note>& notes,
                                       std::size_t max_bytes = 1024);

/// One row of `falproxy explain`: what became of a field.
struct Mapping {
  std::string field;  ///< the OpenAI or native field; empty: the model's default or the operator's
  std::string property;  ///< fal's property; empty: dropped
  Json value;            ///< what is sent
  std::string why;
};

/// Where an input image stands in a job's input. The string there is a placeholder until the image
/// has an address: render() puts it in.
struct ImageSlot {
  std::size_t image = 0;  ///< index in ImageRequest::images; `mask_image` for the mask
  std::string property;
  std::string member =
      {};  ///< of the object that stands there; empty: the address stands there itself
  std::optional<std::size_t> element = std::nullopt;  ///< position, where the property is an array
  static constexpr std::size_t mask_image = static_cast<std::size_t>(-1);
};

/// The input of one fal job.
struct FalInput {
  Json input;
  int images = 1;  ///< how many pictures it is expected to bring
  std::vector<ImageSlot> slots = {};
};

/// Everything that is sent for one request, and what to_openai needs to know afterwards.
struct FalPlan {
  std::vector<FalInput> jobs;
  openai::ImageOperation operation = openai::ImageOperation::generation;
  ResponseFormat response_format = ResponseFormat::url;
  int n = 1;
  MaskConvention mask = MaskConvention::white;  ///< what the model takes
  bool uses_sync_mode = false;                  ///< pictures come as data URIs in the result itself
  std::optional<std::string> size, quality, background,
      output_format;  ///< as resolved, where known beforehand
  bool output_format_sent =
      false;  ///< else output_format is the document's default, and the result knows better
  std::vector<Mapping> mappings;
  std::vector<Note> notes;
};

struct Options {
  int max_images =
      10;  ///< MAX_IMAGES_PER_REQUEST: the most that may result, native fields included
  bool strict_parameters = false;
  std::optional<ResponseFormat> default_response_format = std::nullopt;
  NsfwResults nsfw_results = NsfwResults::leave_out;
  bool data_uris = true;  ///< ask for sync_mode where base64 is wanted and the model has it
};

/// `request.model` is the name that was asked for, also where the request had none: names that
/// begin with gpt-image or chatgpt-image are answered in base64 where nobody says otherwise. So are
/// streams. Errors, each with its field: missing_parameter, invalid_type, invalid_value,
/// unknown_parameter, unsupported_parameter (a mask), edit_unsupported; invalid_settings where a
/// field of `settings` does not fit the model.
[[nodiscard]] Result<FalPlan> to_fal(const openai::ImageRequest& request,
                                     const schema::ModelSchema& schema,
                                     const ModelSettings& settings, const Options& options);

/// The input as a request body, with the address (https or data URI) of each image in place of its
/// placeholder: `addresses[i]` for image i, `mask_address` for the mask.
[[nodiscard]] Body render(const FalInput& input, const std::vector<Body>& addresses,
                          const Body& mask_address);

/// `falproxy explain` and the answer to `x-falproxy-explain: 1`.
[[nodiscard]] Json explain(const FalPlan& plan);

/// One picture of a fal result.
struct FalImage {
  Body url;  ///< http(s) or data URI
  bool is_data_uri = false;
  std::string content_type = {};
  std::optional<std::uint32_t> width, height;
  std::optional<std::string> svg =
      std::nullopt;       ///< svg text, where the model gives that instead of an address
  std::size_t place = 0;  ///< in the list that it came from: what the flags of a result count by
  std::optional<std::string> revised_prompt = std::nullopt;  ///< of the job that brought it
};

/// What a fal job brought, read without copying long strings (data URIs).
struct FalResult {
  std::vector<FalImage> images;
  std::vector<bool> nsfw;  ///< has_nsfw_concepts, per image; empty: not said
};

/// Reads a result of any of fal's shapes, whatever the document promised. `body` is kept alive by
/// the pieces made from it. Errors: upstream_failed (not JSON), no_image.
[[nodiscard]] Result<FalResult> read_result(std::shared_ptr<const std::string> body);

/// The base64 of a picture that came as a data URI, without its prefix and without a copy; none for
/// any other picture.
[[nodiscard]] std::optional<Body> base64_of(const FalImage& image);

/// The pictures of all jobs in order, as far as they may be shown; more than were asked are cut
/// off. Errors: no_image, content_policy (every picture is marked).
[[nodiscard]] Result<FalResult> merge(const FalPlan& plan, std::vector<FalResult> results,
                                      const Options& options, std::vector<Note>& notes);

/// The answer. `pictures[i]` is the content of image i: an address, or raw base64 without prefix
/// where b64_json is wanted.
[[nodiscard]] openai::ImageResponse to_openai(const FalPlan& plan, const FalResult& merged,
                                              std::vector<Body> pictures, std::int64_t created);

}  // namespace falproxy::translate
