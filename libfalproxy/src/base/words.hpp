// words.hpp: the words of vocabulary.hpp's enums, in the order in which messages list them.
#pragma once

#include "base/enum_names.hpp"
#include "falproxy/vocabulary.hpp"

namespace falproxy::inline v0 {

inline constexpr NamedValue<ResponseFormat> response_formats[] = {
    {"url", ResponseFormat::url}, {"b64_json", ResponseFormat::b64_json}};
inline constexpr NamedValue<Completion> completions[] = {
    {"stream", Completion::stream}, {"poll", Completion::poll}, {"sync", Completion::sync}};
inline constexpr NamedValue<MaskConvention> mask_conventions[] = {
    {"white", MaskConvention::white},
    {"black", MaskConvention::black},
    {"alpha", MaskConvention::alpha},
    {"either", MaskConvention::either}};
inline constexpr NamedValue<QueuePriority> queue_priorities[] = {{"low", QueuePriority::low},
                                                                 {"normal", QueuePriority::normal}};
inline constexpr NamedValue<OutputAccess> output_accesses[] = {
    {"allow", OutputAccess::allow}, {"hide", OutputAccess::hide}, {"forbid", OutputAccess::forbid}};

}  // namespace falproxy::inline v0
