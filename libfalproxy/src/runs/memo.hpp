// memo.hpp: what a record keeps of a plan, so that an answer can be made without it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/plan.hpp"
#include "falproxy/product.hpp"
#include "falproxy/state_store.hpp"

namespace falproxy::inline v0::runs {

/// How fast a run goes on, so that every process tells the same progress.
struct Pace {
  WallTime since;        ///< fal began to work on it
  double usual_seconds;  ///< what one of its endpoint takes, as far as was known then
  /// As the model says itself; from then on time does not count. None: it has said nothing.
  std::optional<int> percent = std::nullopt;
};
/// Percent, 0 to 99. With the same pace it does not fall.
[[nodiscard]] int progress_at(const Pace& pace, WallTime now) noexcept;

struct Memo {
  plan::Plan plan;                          ///< of it what product_of() and read_result() need
  std::string surface;                      ///< LaterRun::details
  std::optional<Pace> pace = std::nullopt;  ///< none: fal does not work on it yet
  std::size_t left_out = 0;                 ///< files whose addresses had no room in the record
};

/// Whether its progress is looked for in its model's log: a picture takes too little time for that.
[[nodiscard]] inline bool tells_its_steps(const plan::Plan& plan) noexcept {
  return plan.makes != Medium::image;
}

/// For RunRecord::details. `wanted`: how the request wants the files; `surface`:
/// LaterRun::details.
[[nodiscard]] std::string to_details(const plan::Plan& plan, ResponseFormat wanted,
                                     std::string_view surface);
/// The same with a pace in it.
[[nodiscard]] std::string with_pace(const std::string& details, const Pace& pace);
/// The same with Memo::left_out in it.
[[nodiscard]] std::string with_left_out(const std::string& details, std::size_t left_out);
/// The same with the address of a picture of a video's scenes in it, as "spritesheet".
[[nodiscard]] std::string with_spritesheet(const std::string& details, const std::string& address);
/// Whatever cannot be read has its default.
[[nodiscard]] Memo memo_of(const RunRecord& record);

/// As many addresses as a record has room for, and how many it has none for. `jobs`: those of the
/// record, which made them.
struct Artifacts {
  std::vector<RunArtifact> noted;
  std::size_t left_out = 0;
};
[[nodiscard]] Artifacts artifacts_of(const std::vector<Product>& products,
                                     const std::vector<RunJob>& jobs);
/// What artifacts_of() kept.
[[nodiscard]] std::vector<Product> products_of(const RunRecord& record, const Memo& memo);

}  // namespace falproxy::inline v0::runs
