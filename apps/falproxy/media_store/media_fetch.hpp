// media_fetch.hpp: a file of fal's on its way into a store.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "falproxy/media_index.hpp"
#include "falproxy/runner.hpp"
#include "media_store/media_store.hpp"

namespace falproxy::app {

/// What came of one attempt.
struct FetchedMedia {
  enum class End {
    kept,       ///< it is in the store
    gone,       ///< fal does not keep it, or it is no host of fal's
    source,     ///< fal's host failed: another attempt may bring it
    store,      ///< the store failed
    too_large,  ///< it has more bytes than there is room for in all
  };
  End end = End::source;
  std::uint64_t size = 0;
  std::string type = {};  ///< of its bytes
  std::string why = {};   ///< for the operator; empty: it is kept
};

/// "ab12....png": the name of a record's file.
[[nodiscard]] std::string name_of_file(const MediaRecord& record);

/// What the bytes are, if they tell; else `known`.
[[nodiscard]] std::string type_of_bytes(std::string_view first, std::string known);

/// Hands the file at the record's source to the store as it comes.
[[nodiscard]] FetchedMedia fetch_into(Runner& runner, MediaStore& store, const MediaRecord& record,
                                      std::uint64_t most_bytes, const StoreWait& wait);

/// The same of bytes that are there.
[[nodiscard]] FetchedMedia put_into(MediaStore& store, const MediaRecord& record,
                                    std::string_view bytes, std::uint64_t most_bytes,
                                    const StoreWait& wait);

}  // namespace falproxy::app
