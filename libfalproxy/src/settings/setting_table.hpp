// setting_table.hpp: one row for each setting: its name, its default, what it means, and how it is
// read.
#pragma once

#include <span>

#include "settings/value.hpp"

namespace falproxy {

struct SettingRow {
  SettingInfo info;
  void (*read)(SettingValue& value, Settings& into);
};

[[nodiscard]] std::span<const SettingRow> setting_rows() noexcept;

}  // namespace falproxy
