// setting_table.hpp: one row for each setting: its name, its default, what it means, and how it is
// read.
#pragma once

#include <span>
#include <string_view>

#include "settings/value.hpp"

namespace falproxy::inline v0 {

struct SettingRow {
  SettingInfo info;
  void (*read)(SettingValue& value, Settings& into);
};

[[nodiscard]] std::span<const SettingRow> setting_rows() noexcept;

/// True for AI_KEYS_FILE and its like: a secret setting's name with `_FILE`.
[[nodiscard]] bool names_secret_file(std::string_view name);

}  // namespace falproxy::inline v0
