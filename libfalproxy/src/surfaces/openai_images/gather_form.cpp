#include <algorithm>
#include <iterator>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/openai.hpp"
#include "surfaces/openai_images/fields.hpp"
#include "surfaces/openai_images/pictures.hpp"
#include "wish/files.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

// Of a picture as text: base64 with line ends, after "data:image/png;base64,", or an address.
std::size_t as_text(std::size_t picture_bytes) { return picture_bytes / 2 * 3 + 8192; }

// So many bytes of a file come before it is put away; of what is put away, so many stay.
constexpr std::size_t put_away_from = 256u << 10;
constexpr std::size_t beginning = 64u << 10;

Error no_base64(std::string_view name) {
  const std::string field = shown_name(name);
  return {ErrorKind::invalid_value,
          fmt::format("Invalid '{}': its Content-Transfer-Encoding says base64, which it is not.",
                      field),
          field};
}

Error unknown_encoding(std::string_view name, std::string_view encoding) {
  const std::string field = shown_name(name);
  return {
      ErrorKind::invalid_value,
      fmt::format("Invalid '{}': the Content-Transfer-Encoding '{}' is not known; send the part "
                  "as it is, or as base64.",
                  field, shown_name(encoding)),
      field};
}

}  // namespace

FormGatherer::FormGatherer(const RequestLimits& limits, const Codecs& codecs, MemoryBudget* memory,
                           std::size_t expected_bytes, Files files, SpoolPlace* spools)
    : limits_(limits),
      codecs_(codecs),
      memory_(memory),
      files_(files),
      spools_(spools),
      bytes_(memory, spools == nullptr ? expected_bytes
                                       : std::min(expected_bytes, put_away_from + beginning)),
      heads_(memory) {}

bool FormGatherer::is_file_field(std::string_view name) const noexcept {
  const std::string_view field = without_brackets(name);
  return files_ == Files::sound ? field == "file" : is_picture_field(field);
}

Result<Done> FormGatherer::begin_part(FormPartHead head) {
  if (Result<Done> ended = end_part(); !ended) return ended;
  constexpr std::string_view plain[] = {"", "7bit", "8bit", "binary"};
  const bool base64 = head.transfer_encoding == "base64";
  if (!base64 && std::ranges::find(plain, head.transfer_encoding) == std::end(plain))
    return unknown_encoding(head.name, head.transfer_encoding);
  picture_ = is_file_field(head.name);
  data_url_ = false;
  const bool file = head.file_name.has_value();
  if (file && !picture_ && files_ == Files::pictures &&
      form_of(head.name, Medium::image) == FieldForm::native)
    return no_field_for_files(head.name);
  most_ = !picture_           ? limits_.max_text_bytes - text_bytes_
          : (file && !base64) ? limits_.max_upload_bytes
                              : as_text(limits_.max_upload_bytes);
  if (!heads_.resize(heads_.bytes() + sizeof(FormPart) + sizeof(Place) + head.name.size() +
                     head.content_type.size() + head.file_name.value_or("").size())) {
    return no_memory_left();
  }
  parts_.push_back({.name = std::move(head.name),
                    .file_name = std::move(head.file_name),
                    .content_type = std::move(head.content_type),
                    .owner = nullptr,
                    .bytes = {}});
  places_.push_back({bytes_.text().size(), bytes_.text().size(), base64});
  return Done{};
}

Result<Done> FormGatherer::append(std::string_view bytes) {
  const FormPart& part = parts_.back();
  if (bytes.size() > most_ && picture_ && files_ == Files::sound) {
    return Error{ErrorKind::body_too_large,
                 fmt::format("Maximum content size limit ({}) exceeded.", limits_.max_upload_bytes),
                 "file"};
  }
  if (bytes.size() > most_) {
    return picture_ ? picture_too_large(without_brackets(part.name), limits_.max_upload_bytes)
                    : too_much_text(part.name, limits_.max_text_bytes);
  }
  most_ -= bytes.size();
  if (!picture_) text_bytes_ += bytes.size();
  if (data_url_) data_url_bytes_ += bytes.size();
  if (!bytes_.append(bytes)) return no_memory_left();
  Place& place = places_.back();
  place.end = bytes_.text().size();
  const std::string_view so_far = std::string_view(bytes_.text()).substr(place.begin);
  if (!picture_ && is_data_url(so_far)) {
    picture_ = data_url_ = true;
    text_bytes_ -= so_far.size();
    data_url_bytes_ += so_far.size();
    const std::size_t most = as_text(limits_.max_upload_bytes);
    most_ = most - std::min(most, so_far.size());
  }
  const bool is_file = picture_ && part.file_name.has_value() && !place.base64;
  const std::size_t kept = spool_ == nullptr ? 0 : beginning;
  if (!is_file || spools_ == nullptr || so_far.size() < kept + put_away_from) return Done{};
  return put_away();
}

// What has come of the last part but its beginning.
Result<Done> FormGatherer::put_away() {
  Place& place = places_.back();
  const bool is_new = spool_ == nullptr;
  if (is_new) spool_ = spools_->begin();
  if (spool_ == nullptr) {
    spools_ = nullptr;
    return Done{};
  }
  const std::size_t from = place.begin + (is_new ? 0 : beginning);
  Result<Done> taken = spool_->append(std::string_view(bytes_.text()).substr(from));
  place.end = place.begin + beginning;
  bytes_.text().resize(place.end);
  return taken;
}

Result<Done> FormGatherer::end_part() {
  if (spool_ == nullptr) return Done{};
  if (Result<Done> last = put_away(); !last) return last;
  Result<std::shared_ptr<const BodySource>> whole = std::exchange(spool_, nullptr)->finish();
  if (!whole) return std::move(whole).error();
  parts_.back().source = *std::move(whole);
  return Done{};
}

Result<std::vector<FormPart>> FormGatherer::take() {
  if (Result<Done> ended = end_part(); !ended) return std::move(ended).error();
  const std::shared_ptr<const std::string> owner = bytes_.take();
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    const Place& place = places_[i];
    parts_[i].owner = owner;
    parts_[i].bytes = std::string_view(*owner).substr(place.begin, place.end - place.begin);
    if (!place.base64) continue;
    if (Result<Done> decoded = decode(parts_[i]); !decoded) return decoded.error();
  }
  return std::move(parts_);
}

Result<Done> FormGatherer::decode(FormPart& part) {
  MemoryShare share(memory_);
  if (!share.resize(2 * part.bytes.size())) return no_memory_left();
  std::string text(part.bytes);
  std::erase_if(text, is_blank);
  std::optional<std::string> bytes = codecs_.decode_base64(text);
  if (!bytes) return no_base64(part.name);
  share.charge_to(bytes->size());
  part.owner = counted(std::move(*bytes), std::move(share));
  part.bytes = *part.owner;
  return Done{};
}

}  // namespace falproxy::inline v0::openai
