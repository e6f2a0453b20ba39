#include "file_answer.hpp"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "media_store/media_fetch.hpp"
#include "media_store/media_names.hpp"

namespace falproxy::app {

using serving::append_field;
using serving::Request;
using serving::Response;

namespace {

constexpr std::size_t piece_bytes = 256u << 10;
constexpr Seconds link_life{300}, link_cached{240}, longest_wait{3}, longest_sign{10};
constexpr std::int64_t year_seconds = std::int64_t{365} * 86'400;

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = fault == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(number) : std::nullopt;
}

Response redirect(const std::string& where, std::string_view caching) {
  Response response{.status = 302, .content_type = {}};
  append_field(response.fields, "Location", where);
  append_field(response.fields, "Cache-Control", caching);
  return response;
}

// A file never changes under its address, but it may end.
std::string caching_of(const MediaRecord& record, bool is_private, WallTime now) {
  std::int64_t seconds = year_seconds;
  if (record.expires != WallTime::max()) {
    const auto left = std::chrono::floor<Seconds>(record.expires - now).count();
    seconds = std::clamp<std::int64_t>(left, 0, year_seconds);
  }
  return fmt::format("{}, max-age={}, immutable", is_private ? "private" : "public", seconds);
}

void append_about(std::string& fields, const MediaRecord& record) {
  const std::string& type = record.content_type;
  append_field(fields, "Content-Disposition",
               fmt::format("{}; filename=\"{}\"", is_shown(type) ? "inline" : "attachment",
                           name_of_file(record)));
  append_field(fields, "X-Content-Type-Options", "nosniff");
  if (is_active(type)) {
    append_field(fields, "Content-Security-Policy",
                 "default-src 'none'; style-src 'unsafe-inline'; sandbox");
  }
}

void write_file(Request& out, MediaReader& file, ByteRange range) {
  while (range.count > 0) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, range.count));
    std::string bytes = file.read(range.first, most);
    if (bytes.empty()) return out.cut();
    range.first += bytes.size();
    range.count -= bytes.size();
    if (!out.write(Body(std::move(bytes)))) return;
  }
}

Response open_answer(Call& call, const MediaRecord& record, bool is_private,
                     std::shared_ptr<MediaReader> file) {
  const std::uint64_t size = file->size();
  const std::string tag = fmt::format("\"{}\"", record.id.to_string());
  Response response{.content_type = record.content_type};
  append_field(response.fields, "ETag", tag);
  append_field(response.fields, "Cache-Control",
               caching_of(record, is_private, std::chrono::system_clock::now()));
  append_about(response.fields, record);
  if (names_tag(call.field("if-none-match"), tag)) {
    response.status = 304;
    response.content_type = {};
    return response;
  }
  append_field(response.fields, "Accept-Ranges", "bytes");
  ByteRange range{.count = size};
  const std::string_view condition = call.field("if-range");
  const std::optional<ByteRange> asked =
      condition.empty() || condition == tag ? range_of(call.field("range"), size) : std::nullopt;
  if (asked && asked->count == 0) {
    response.status = 416;
    response.content_type = {};
    append_field(response.fields, "Content-Range", fmt::format("bytes */{}", size));
    return response;
  }
  if (asked) {
    range = *asked;
    response.status = 206;
    append_field(response.fields, "Content-Range",
                 fmt::format("bytes {}-{}/{}", range.first, range.first + range.count - 1, size));
  }
  response.length = range.count;
  response.stream = [file = std::move(file), range](Request& out) {
    write_file(out, *file, range);
  };
  return response;
}

// As long as fal has it.
std::optional<Response> at_fal(Call& call, const MediaRecord& record, const MediaPlace& place) {
  if (record.source.empty()) return std::nullopt;
  if (!place.is_private()) return redirect(record.source, "no-store");
  const TimePoint until = serving::steady_now() + longest_sign;
  const Result<std::string> link = call.door.parts().runner.link_to(
      record.source, link_life, {.deadline = until, .stop = call.request.stop()});
  return link ? std::optional(redirect(*link, "no-store")) : std::nullopt;
}

}  // namespace

std::optional<ByteRange> range_of(std::string_view field, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  if (!field.starts_with(unit)) return std::nullopt;
  const std::string_view text = trim(field.substr(unit.size()));
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos || text.find(',') != std::string_view::npos)
    return std::nullopt;
  const std::optional<std::uint64_t> first = number_in(text.substr(0, dash));
  const std::optional<std::uint64_t> last = number_in(text.substr(dash + 1));
  const bool has_first = dash > 0, has_last = dash + 1 < text.size();
  if ((has_first && !first) || (has_last && !last) || (!has_first && !has_last))
    return std::nullopt;
  if (!has_first) {
    const std::uint64_t count = std::min(*last, size);
    return ByteRange{size - count, count};
  }
  if (has_last && *last < *first) return std::nullopt;
  if (*first >= size) return ByteRange{};
  const std::uint64_t end = has_last ? std::min(*last, size - 1) : size - 1;
  return ByteRange{*first, end - *first + 1};
}

bool names_tag(std::string_view field, std::string_view tag) {
  bool found = trim(field) == "*";
  for_each_part(field, ',', [&](std::string_view one) {
    one = trim(one);
    if (one.starts_with("W/")) one.remove_prefix(2);
    found = found || one == tag;
  });
  return found;
}

Error file_was_deleted(std::string field) {
  return {.kind = ErrorKind::run_not_found,
          .message = "The file was deleted.",
          .field = std::move(field)};
}

std::optional<Response> file_answer(Call& call, const MediaRecord& given, bool only_with_key) {
  MediaKeeper& keeper = *call.door.parts().media;
  MediaRecord record = given;
  if (record.state == MediaState::waiting) {
    const Result<std::optional<MediaRecord>> settled =
        keeper.find_settled(record.id, serving::steady_now() + longest_wait, call.request.stop());
    if (!settled) return call.fail(settled.error());
    if (!settled->has_value()) return std::nullopt;
    record = **settled;
  }
  const std::shared_ptr<MediaStore> store = keeper.store();
  if (record.state == MediaState::kept && store != nullptr) {
    const std::string name = name_of_file(record);
    if (std::shared_ptr<MediaReader> file = store->open(name))
      return open_answer(call, record, only_with_key || keeper.place().is_private(),
                         std::move(file));
    if (const auto link = store->link(name, call.request.head().method, link_life)) {
      return redirect(*link, fmt::format("private, max-age={}", link_cached.count()));
    }
  }
  return at_fal(call, record, keeper.place());
}

}  // namespace falproxy::app
