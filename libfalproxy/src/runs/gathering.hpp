// gathering.hpp: from what the jobs of one request brought to the pictures of its answer, while
// other jobs still run.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "runs/driver.hpp"
#include "runs/harvest.hpp"
#include "runs/pictures.hpp"

namespace falproxy::inline v0::runs {

/// The file that came as `file`, as it is answered; `created` in Unix seconds.
[[nodiscard]] Product product_of(const plan::Plan& plan, const plan::ResultFile& file,
                                 const Picture& picture, std::int64_t created);

/// Thread-safe; `plan` must outlive it.
class Gathering {
 public:
  /// `progress`: told of each picture once it can be shown; null: nobody is.
  Gathering(const World& world, const plan::Plan& plan, std::size_t jobs, const Patience& patience,
            Progress* progress);

  /// A job has ended: makes its pictures, which may take downloads. Once for each job.
  void take(std::size_t place, const JobOutput& output);

  /// The answer, once every job was taken: of what came, with Notes of what did not, and in
  /// `outcome.shortfall` why. Errors: why nothing came. True: a picture is there, and may be
  /// fetched another time.
  bool finish(const std::vector<JobOutput>& outputs, Outcome& outcome);

 private:
  struct Taken {
    std::vector<plan::ResultFile> images;
    std::vector<Result<Picture>> pictures;  // as many
    std::optional<Error> error;             // why it brought none
    std::chrono::microseconds time{0};      // that its pictures took
  };
  void make_pictures_of(const JobOutput& output, Taken& taken);
  void show(const Taken& taken, const std::string& fal_request_id);

  const World& world_;
  const plan::Plan& plan_;
  const Patience& patience_;
  Progress* const progress_;
  std::vector<Taken> taken_;  // by place
  std::mutex mutex_;
  plan::Selection selection_;
  std::size_t left_;  // jobs that were not taken yet
};

}  // namespace falproxy::inline v0::runs
