// console.hpp: what programs say on standard output and standard error.
#pragma once

#include <string_view>
#include <vector>

#include "falproxy/settings.hpp"

namespace falproxy::app {

/// Whole, also where the other side is slow; what cannot be written is lost.
void write_to_stdout(std::string_view text);
void write_to_stderr(std::string_view text);
[[nodiscard]] bool stderr_is_terminal() noexcept;

/// One line a fault, on standard error.
void print_faults(const std::vector<SettingsFault>& faults);

}  // namespace falproxy::app
