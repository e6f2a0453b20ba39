// log.hpp: what the library tells the operator, one line at a time.
#pragma once

#include <functional>
#include <iosfwd>
#include <string_view>

#include "falproxy/print.hpp"

namespace falproxy::inline v0 {

/// How much a line matters.
enum class LogLevel {
  debug,    ///< what was read, for whoever looks for a fault
  info,     ///< something is otherwise than before, and nothing is to be done
  warning,  ///< the operator should look after something
  error,    ///< something does not work until the operator looks after it
};
/// As written above.
[[nodiscard]] std::string_view name_of(LogLevel value) noexcept;

/// Takes one line, which holds no key. Called from several threads at once; may be empty, then
/// nobody listens.
using LogLine = std::function<void(LogLevel, std::string_view)>;

}  // namespace falproxy::inline v0
