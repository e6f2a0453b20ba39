// plan.hpp: the mapping itself: a Wish onto a model's inputs, and what a model answers onto files.
//
// Pure: same input, same bytes. docs/mapping.md has a row for each rule.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/http.hpp"
#include "falproxy/json.hpp"
#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/profile.hpp"
#include "falproxy/result.hpp"
#include "falproxy/schema.hpp"
#include "falproxy/settings.hpp"
#include "falproxy/transcript.hpp"
#include "falproxy/wish.hpp"

/// The mapping between a Wish and a model; docs/mapping.md tells it in words.
namespace falproxy::inline v0::plan {

/// Something that was rounded, clamped, renamed, defaulted or dropped.
struct Note {
  std::string field;  ///< the OpenAI or native field
  /// Short: "1000x1000 became 1024x1024 (multiples of 32)". UTF-8, as a document may name its
  /// words.
  std::string text;
  /// The same field: the words may change.
  bool operator==(const Note& other) const noexcept { return field == other.field; }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Note& note);
/// For the header `x-falproxy-notes`: printable ASCII, at most `max_bytes`.
[[nodiscard]] std::string header_value(const std::vector<Note>& notes,
                                       std::size_t max_bytes = 1024);

/// One row of `falproxy explain`: what became of a field.
struct Mapping {
  std::string field;  ///< the OpenAI or native field; empty: the model's default or the operator's
  std::string property;  ///< fal's property; empty: dropped
  Json value;            ///< what is sent
  std::string why;       ///< for people; empty if the value simply went there
  /// But for `why`.
  bool operator==(const Mapping& other) const noexcept {
    return field == other.field && property == other.property && value == other.value;
  }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Mapping& mapping);

/// Where an input image stands in a job's input. The string there is a placeholder until the image
/// has an address: render() puts it in.
struct FileSlot {
  /// As Wish::picture() counts; `mask_image` for the mask.
  std::size_t image = 0;
  std::string property;   ///< the input
  std::string path = {};  ///< JSON pointer to the string within the input; empty: it is the input
  /// FileSlot::image of the mask.
  static constexpr std::size_t mask_image = static_cast<std::size_t>(-1);
  bool operator==(const FileSlot&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const FileSlot& slot);

/// The input of one fal job.
struct JobInput {
  Json input;      ///< what is POSTed, but for the placeholders of `slots`
  int images = 1;  ///< how many pictures it is expected to bring
  /// One for each picture of the request that this job uses; empty: `input` is complete.
  std::vector<FileSlot> slots = {};
  bool operator==(const JobInput&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const JobInput& input);

/// Everything that is sent for one request, and what is needed afterwards to read its results.
struct Plan {
  std::vector<JobInput> jobs;    ///< at least one; their inputs differ in count and seed only
  Medium makes = Medium::image;  ///< Wish::makes, for read_result()
  /// Of the request; names the events of a stream.
  Intent intent = Intent::generation;
  /// As decided: request, streaming, model's settings, default, the model's name.
  ResponseFormat response_format = ResponseFormat::url;
  std::vector<std::string> places = {};  ///< of the pictures in a result, for read_result()
  Times times = Times::none;             ///< that the model was asked for, for read_result()
  int n = 1;  ///< pictures that the answer is to have; merge() cuts off the rest
  MaskConvention mask = MaskConvention::either;  ///< what the model takes
  /// The picture that is worked on, and that a mask belongs to, as Wish::picture() counts;
  /// none: the request has none but as an address in a field of the model's own.
  std::optional<std::size_t> source = std::nullopt;
  /// No mask came, the model requires one, and `source` may be transparent somewhere.
  bool mask_is_source = false;
  bool uses_sync_mode = false;      ///< pictures come as data URIs in the result itself
  std::optional<std::string> size,  ///< "1024x768", if the pixels are known beforehand
      quality,                      ///< OpenAI's word
      background,                   ///< OpenAI's word
      output_format;                ///< as resolved, if known beforehand
  /// Else output_format is the document's default, and the result knows better.
  bool output_format_sent = false;
  std::optional<double> seconds = std::nullopt;  ///< how long it is to play, if known beforehand
  std::string endpoint = {};  ///< that it is for, fal's id; Runner::plan() sets it
  /// Of each job, but for its pictures; see expected_of().
  Quantities expected = {};
  FalPreferences preferences = {};  ///< the model's settings', for every job
  std::vector<Mapping> mappings;    ///< for explain(), in the order in which they were decided
  /// For header_value(); at most `most_notes`, and one that counts the others.
  std::vector<Note> notes;
  /// Of the Notes their fields count, in any order.
  bool operator==(const Plan& other) const noexcept;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Plan& plan);

/// What one of the plan's jobs will bring and take, as far as that is known beforehand.
[[nodiscard]] Quantities expected_of(const Plan& plan, const JobInput& job);

/// A request may have a hundred thousand fields that no model knows; nobody reads as many Notes.
inline constexpr std::size_t most_notes = 50;

/// Settings that bear on the mapping, for every model alike.
struct Options {
  /// MAX_IMAGES_PER_REQUEST: the most that may result, native fields included.
  int max_images = 10;
  /// STRICT_PARAMETERS: a field that nobody knows is an error, not a Note.
  bool strict_parameters = false;
  /// DEFAULT_RESPONSE_FORMAT: the first whose pattern the model's name matches. If none does, the
  /// name and the intent decide.
  std::vector<ResponseFormatRule> default_response_format = {};
  NsfwResults nsfw_results = NsfwResults::leave_out;  ///< NSFW_RESULTS
  /// To a job's files, if the model's settings say nothing; none: fal's own default.
  std::optional<OutputAccess> output_access = std::nullopt;
  /// Who runs the plan can fetch files that are not public: base64 is no obstacle then.
  bool opens_files = false;
  bool data_uris = true;  ///< ask for sync_mode if base64 is wanted and the model has it
  /// What who runs the plan can make of a sound that is mp3, opus, ogg, flac or wav: "mp3", "pcm".
  std::vector<std::string> converted_sounds = {};
  bool operator==(const Options&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Options& options);

/// `request.model` is the name that was asked for, also if the request had none. If nobody says
/// otherwise, names that begin with gpt-image or chatgpt-image are answered in base64, and so are
/// edits of all names that do not begin with dall-e. Streams always are. Errors, each with its
/// field: missing_parameter, invalid_type, invalid_value, unknown_parameter, unsupported_parameter
/// (a mask), edit_unsupported; invalid_settings if a field of `settings` does not fit the model.
///
/// `chance`, in [0, 1), decides the seed if the request gives none and the document would have
/// the same one every time; none: the document's own stays.
[[nodiscard]] Result<Plan> make_plan(const Wish& request, const profile::Profile& profile,
                                     const ModelSettings& settings, const Options& options,
                                     std::optional<double> chance = std::nullopt);

/// The input as a request body, with the address (https or data URI) of each image in place of its
/// placeholder: `addresses[i]` for image i, `mask_address` for the mask.
[[nodiscard]] Body render(const JobInput& input, const std::vector<Body>& addresses,
                          const Body& mask_address);

/// `falproxy explain` and the answer to `x-falproxy-explain: 1`.
[[nodiscard]] Json explain(const Plan& plan);

/// One picture of a fal result.
struct ResultFile {
  Body url = {};                  ///< http(s) or data URI
  bool is_data_uri = false;       ///< `url` is one: base64_of() then has the picture
  std::string content_type = {};  ///< as fal said, or as the data URI says; empty: not said
  std::optional<std::uint32_t> width = std::nullopt;   ///< pixels, as fal said
  std::optional<std::uint32_t> height = std::nullopt;  ///< pixels, as fal said
  std::optional<double> seconds = std::nullopt;        ///< how long it plays, as fal said
  /// svg text, if the model gives that instead of an address.
  std::optional<std::string> svg = std::nullopt;
  std::size_t place = 0;  ///< in the list that it came from: what the flags of a result count by
  std::optional<std::string> revised_prompt = std::nullopt;  ///< of the job that brought it
  /// Of a text: what is said; `url` is empty then.
  std::optional<Transcript> transcript = std::nullopt;
  std::string thumbnail = {};  ///< of a video: where a picture of it can be had; empty: nowhere
  bool operator==(const ResultFile&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const ResultFile& image);

/// What a fal job brought, read without copying long strings (data URIs).
struct JobResult {
  std::vector<ResultFile> images;  ///< in the order of the result; never empty from read_result()
  std::vector<bool> nsfw;          ///< has_nsfw_concepts, per image; empty: not said
  bool operator==(const JobResult&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const JobResult& result);

/// Reads a result. `places` are paths such as "images[].url", which the document promises
/// (Plan::places). If no picture is there, it takes members with usual names; if there are none,
/// whatever must be a picture. `body` is kept alive by the pieces made from it. Errors:
/// upstream_failed (not JSON), no_image.
/// If `medium` is no picture and no file stands at the places, it takes whatever says that it is of
/// the medium. A text is read whole, with the times that it tells; `times`: how close they are
/// (Plan::times).
[[nodiscard]] Result<JobResult> read_result(std::shared_ptr<const std::string> body,
                                            const std::vector<std::string>& places = {},
                                            Medium medium = Medium::image,
                                            Times times = Times::none);

/// The base64 of a picture that came as a data URI, without its prefix and without a copy; none for
/// any other picture.
[[nodiscard]] std::optional<Body> base64_of(const ResultFile& image);

/// Which of the pictures that a plan's jobs bring are shown, in whatever order the jobs end.
class Selection {
 public:
  /// Shows at most `plan.n` pictures; Options::nsfw_results decides about marked ones.
  Selection(const Plan& plan, const Options& options)
      : wanted_(plan.n < 1 ? 1 : static_cast<std::size_t>(plan.n)), nsfw_(options.nsfw_results) {}

  /// Those of one more result that are shown: not what is marked, and in all no more than were
  /// asked for.
  [[nodiscard]] std::vector<ResultFile> take(JobResult result);
  /// Why nothing is shown, if no job failed. Errors: no_image, content_policy (every picture is
  /// marked).
  [[nodiscard]] Error nothing() const;
  /// Tells of what is left out. `came`: pictures in the answer; `reasons`: sentences that say why
  /// there are not more of them.
  void tell(std::vector<Note>& notes, std::size_t came,
            const std::vector<std::string>& reasons) const;

 private:
  std::size_t wanted_;
  NsfwResults nsfw_;
  std::size_t marked_ = 0, shown_ = 0, too_many_ = 0;
};

}  // namespace falproxy::inline v0::plan
