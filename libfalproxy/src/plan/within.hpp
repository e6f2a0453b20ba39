// within.hpp: inputs that stand within another one: "voice_setting.speed", "inputs[].text".
#pragma once

#include <string>
#include <string_view>

#include "plan/draft.hpp"

namespace falproxy::inline v0::plan {

/// The input that it stands within, or is.
[[nodiscard]] const schema::Field& outer_of(const Draft& draft, const profile::RoleInput& input);
/// Whether somebody has said it already, or the whole that it stands within.
[[nodiscard]] bool is_said(const Draft& draft, const profile::RoleInput& input);
/// The model does nothing without it, or without what it stands within.
[[nodiscard]] bool is_required(const Draft& draft, const profile::RoleInput& input);
/// Sends a value of the request's. Of an object around it all other members stay as they are, or as
/// the document has them by default; a list gets one element.
void send_at(Draft& draft, const profile::RoleInput& input, Json value, std::string_view from,
             std::string why = {});

}  // namespace falproxy::inline v0::plan
