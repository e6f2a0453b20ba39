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

/// The mapping between falproxy::openai and falproxy::schema; docs/mapping.md tells it in words.
namespace falproxy::translate {

/// Something that was rounded, clamped, renamed, defaulted or dropped.
struct Note {
  std::string field;  ///< the OpenAI or native field
  /// Short: "1000x1000 became 1024x1024 (multiples of 32)". UTF-8, as a document may name its
  /// words.
  std::string text;
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
  std::string why;       ///< for people; empty where the value simply went there
};

/// Where an input image stands in a job's input. The string there is a placeholder until the image
/// has an address: render() puts it in.
struct ImageSlot {
  std::size_t image = 0;  ///< index in ImageRequest::images; `mask_image` for the mask
  std::string property;   ///< the input; an array where `element` is set
  /// Of the object that stands there; empty: the address stands there itself.
  std::string member = {};
  std::optional<std::size_t> element = std::nullopt;  ///< position, where the property is an array
  /// ImageSlot::image of the mask.
  static constexpr std::size_t mask_image = static_cast<std::size_t>(-1);
};

/// The input of one fal job.
struct FalInput {
  Json input;      ///< what is POSTed, but for the placeholders of `slots`
  int images = 1;  ///< how many pictures it is expected to bring
  /// One for each picture of the request that this job uses; empty: `input` is complete.
  std::vector<ImageSlot> slots = {};
};

/// Everything that is sent for one request, and what to_openai needs to know afterwards.
struct FalPlan {
  std::vector<FalInput> jobs;  ///< at least one; their inputs differ in count and seed only
  /// Of the request; names the events of a stream.
  openai::ImageOperation operation = openai::ImageOperation::generation;
  /// As decided: request, streaming, model's settings, default, the model's name.
  ResponseFormat response_format = ResponseFormat::url;
  int n = 1;  ///< pictures that the answer is to have; merge() cuts off the rest
  MaskConvention mask = MaskConvention::white;  ///< what the model takes
  bool uses_sync_mode = false;                  ///< pictures come as data URIs in the result itself
  std::optional<std::string> size,  ///< "1024x768", where the pixels are known beforehand
      quality,                      ///< OpenAI's word
      background,                   ///< OpenAI's word
      output_format;                ///< as resolved, where known beforehand
  /// Else output_format is the document's default, and the result knows better.
  bool output_format_sent = false;
  std::vector<Mapping> mappings;  ///< for explain(), in the order in which they were decided
  std::vector<Note> notes;        ///< for header_value()
};

/// Settings that bear on the mapping, for every model alike.
struct Options {
  /// MAX_IMAGES_PER_REQUEST: the most that may result, native fields included.
  int max_images = 10;
  /// STRICT_PARAMETERS: a field that nobody knows is an error, not a Note.
  bool strict_parameters = false;
  /// DEFAULT_RESPONSE_FORMAT; none: the model's name decides.
  std::optional<ResponseFormat> default_response_format = std::nullopt;
  NsfwResults nsfw_results = NsfwResults::leave_out;  ///< NSFW_RESULTS
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
  Body url;                            ///< http(s) or data URI
  bool is_data_uri = false;            ///< `url` is one: base64_of() then has the picture
  std::string content_type = {};       ///< as fal said, or as the data URI says; empty: not said
  std::optional<std::uint32_t> width,  ///< pixels, as fal said
      height;                          ///< pixels, as fal said
  /// svg text, where the model gives that instead of an address.
  std::optional<std::string> svg = std::nullopt;
  std::size_t place = 0;  ///< in the list that it came from: what the flags of a result count by
  std::optional<std::string> revised_prompt = std::nullopt;  ///< of the job that brought it
};

/// What a fal job brought, read without copying long strings (data URIs).
struct FalResult {
  std::vector<FalImage> images;  ///< in the order of the result; never empty from read_result()
  std::vector<bool> nsfw;        ///< has_nsfw_concepts, per image; empty: not said
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
