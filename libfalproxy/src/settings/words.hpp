// words.hpp: the words of settings.hpp's enums, in the order in which messages list them.
#pragma once

#include "base/enum_names.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::inline v0 {

inline constexpr NamedValue<LogFormat> log_formats[] = {{"text", LogFormat::text},
                                                        {"json", LogFormat::json}};
inline constexpr NamedValue<NsfwResults> nsfw_results[] = {{"leave_out", NsfwResults::leave_out},
                                                           {"pass", NsfwResults::pass}};
inline constexpr NamedValue<UnknownPrice> unknown_prices[] = {{"refuse", UnknownPrice::refuse},
                                                              {"allow", UnknownPrice::allow},
                                                              {"assume", UnknownPrice::assume}};
inline constexpr NamedValue<OnDisconnect> on_disconnects[] = {{"cancel", OnDisconnect::cancel},
                                                              {"keep", OnDisconnect::keep}};
inline constexpr NamedValue<ChatImages> chat_images[] = {{"auto", ChatImages::automatic},
                                                         {"images", ChatImages::images},
                                                         {"markdown", ChatImages::markdown},
                                                         {"both", ChatImages::both}};
inline constexpr NamedValue<ImageUpload> image_uploads[] = {{"storage", ImageUpload::storage},
                                                            {"inline", ImageUpload::inline_data}};

inline constexpr NamedValue<MediaAccess> media_accesses[] = {
    {"public", MediaAccess::open}, {"signed", MediaAccess::signed_link}, {"key", MediaAccess::key}};

}  // namespace falproxy::inline v0
