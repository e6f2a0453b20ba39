// media_rows.hpp: records of kept files as rows of their table, and back.
#pragma once

#include <vector>

#include "database.hpp"
#include "falproxy/media_index.hpp"

namespace falproxy::inline v0::sqlite {

/// Changes rows, within a transaction that the caller began. For one thread. All give SQLite's
/// code.
class MediaWriter {
 public:
  [[nodiscard]] int prepare(const Database& database);
  [[nodiscard]] int note(const std::vector<MediaRecord>& records);
  [[nodiscard]] int change(const MediaRecord& record);
  [[nodiscard]] int forget(const RunId& id);

 private:
  Statement note_, change_, forget_;
};

/// Reads them. For one thread. All give SQLite's code.
class MediaReader {
 public:
  [[nodiscard]] int prepare(const Database& database);
  [[nodiscard]] int look_up(const MediaQuery& query, std::vector<MediaRecord>& found);
  [[nodiscard]] int totals(std::vector<MediaTotal>& all);

 private:
  Statement by_id_, by_owner_, oldest_, oldest_of_owner_, expired_, waiting_, totals_;
};

}  // namespace falproxy::inline v0::sqlite
