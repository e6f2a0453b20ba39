// local_records.hpp: how what is noted on this machine's own disk stands for what all share.
#pragma once

#include <vector>

#include "falproxy/result.hpp"
#include "falproxy/spending_store.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::app {

/// How far a local record is. Of one write the higher stage replaces the lower.
enum class Stage {
  copied,      ///< the shared store has this write: the copy is read only while that is away
  kept,        ///< the shared store lacks it, and must be given it
  handed_over  ///< the shared store lacked it, and has been given it
};

/// For the local store. Its fence tells the stage, and a later write of the run always has the
/// higher one. What is not kept stands as ended: so RunQuery::of_open() finds only what is.
[[nodiscard]] RunRecord as_noted(RunRecord record, Stage stage);
/// As as_noted() got it; a run of a process that was alone is as it is.
[[nodiscard]] RunRecord as_written(RunRecord noted);
/// Whether the shared store must be given it.
[[nodiscard]] bool is_kept(const RunRecord& noted);
/// What is promised stays, for when the shared store is away; the rest is forgotten with what has
/// expired.
[[nodiscard]] RunRecord as_handed_over(const RunRecord& kept);

/// A posting that is kept; it stands among the runs.
[[nodiscard]] RunRecord record_of(const Posting& posting, const RunId& id, WallTime created);
[[nodiscard]] bool is_posting(const RunRecord& noted);
/// As record_of() got it. Errors: those of Json::parse().
[[nodiscard]] Result<Posting> posting_of(const RunRecord& noted);

/// The runs among what the local store has found, as they were written: those that are kept, or
/// `all`.
[[nodiscard]] std::vector<RunRecord> runs_of(std::vector<RunRecord> noted, const RunQuery& query,
                                             bool all);

}  // namespace falproxy::app
