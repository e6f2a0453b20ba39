// file_answer.hpp: kept files as answers: whole, in part, or where else they are.
#pragma once

#include "door.hpp"
#include "media_store/media_keeper.hpp"

namespace falproxy::app {

/// The file of a record to a GET or HEAD: the bytes that are asked for, a redirect to the bucket,
/// or one to fal as long as it is not kept. `only_with_key`: its address does not open it alone, so
/// that no shared cache may have it. None: it is nowhere any more.
[[nodiscard]] std::optional<serving::Response> file_answer(Call& call, const MediaRecord& record,
                                                           bool only_with_key);

/// That the file of a run was deleted, while the run itself is known. `field`: that names the run.
[[nodiscard]] Error file_was_deleted(std::string field);

/// What a range asks for of a file of `size` bytes.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;  ///< 0: none of its bytes
};
/// Of a field Range; none: it means nothing, or several ranges, so that the whole file is sent.
[[nodiscard]] std::optional<ByteRange> range_of(std::string_view field, std::uint64_t size);

/// Whether a field If-None-Match names `tag`.
[[nodiscard]] bool names_tag(std::string_view field, std::string_view tag);

}  // namespace falproxy::app
