// command_line.hpp: what was typed after `falproxy`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "falproxy/result.hpp"

namespace falproxy::app {

enum class Command { serve, demo, check, explain, models, jobs, usage, health, init };

/// What every program returns to the shell.
struct ExitStatus {
  static constexpr int done = 0;
  static constexpr int fault =
      1;  ///< check found one, explain: the request would be refused, demo: no image
  static constexpr int not_understood = 2;  ///< the command line or the settings are wrong
};

/// Members that a command does not have keep their defaults.
struct CommandLine {
  Command command = Command::serve;
  bool named = false;  ///< the command was typed
  bool help = false;
  bool version = false;
  std::optional<std::string> env_file = std::nullopt;  ///< none: .env, if there is one
  bool json = false;                                   ///< check, explain, models, jobs, usage
  std::string by = "day";                              ///< usage: day, key, model or user
  std::string start = {};                              ///< usage; empty: thirty days ago
  std::string end = {};                                ///< usage; empty: today
  bool edits = false;                                  ///< models
  std::string profile_folder = {};                     ///< models; empty: the configured ones
  std::string model = {};         ///< explain; empty: the request's, or the default
  std::string schema_file = {};   ///< explain
  std::string endpoint = {};      ///< explain
  std::string request_file = {};  ///< explain; empty: a plain request; "-": standard input
  /// explain: images, edits, videos, speech, transcriptions or translations.
  std::string api = "images";
  std::string job = {};                              ///< jobs; empty: all
  bool cancel = false;                               ///< jobs: that one
  std::string key_name = {};                         ///< jobs; empty: the first access key
  bool force = false;                                ///< init: writes over a file
  bool once = false;                                 ///< demo
  std::optional<std::uint16_t> port = std::nullopt;  ///< demo
  bool operator==(const CommandLine&) const = default;
};

/// `arguments`: without the program's name. `--flag VALUE` and `--flag=VALUE` are the same. The
/// command comes first; without one it is serve. Errors: invalid_value, with the nearest flag or
/// command where one is near.
[[nodiscard]] Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments);

/// For --help: of the command where it was typed, else of the program.
[[nodiscard]] std::string help_text(const CommandLine& line);
[[nodiscard]] std::string version_text();

}  // namespace falproxy::app
