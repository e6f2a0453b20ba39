// told_progress.hpp: how far a job has come, read from what its model prints.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "falproxy/fal.hpp"

namespace falproxy::inline v0::fal {

/// No longer answer with a log is read; one without says as much of the job itself.
inline constexpr std::size_t longest_logged_status = 1u << 20;

/// A status request that asks for the model's log, too.
[[nodiscard]] HttpRequest with_logs(HttpRequest request);

/// Percent, 1 to 99, that a line of a log tells; none: it tells nothing.
///
/// It tells something if it is a bar of tqdm's, or a count such as 14/28, without a name or with a
/// word for the work itself before it ("Denoising:"); only after such a word a percentage alone is
/// enough ("Progress: 42%"). Bars of what is loaded have other names, or count bytes; and 100% says
/// no more than that some loop has ended.
[[nodiscard]] std::optional<int> percent_of_line(std::string_view line) noexcept;

struct LoggedStatus {
  QueueStatus status;
  std::optional<int> percent = std::nullopt;  ///< as the newest line says that says it
};
/// As parse_status(), of an answer that may have a log.
[[nodiscard]] Result<LoggedStatus> parse_logged_status(std::string_view body);

}  // namespace falproxy::inline v0::fal
