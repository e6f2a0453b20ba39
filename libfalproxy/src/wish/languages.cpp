#include "wish/languages.hpp"

#include "base/text.hpp"

namespace falproxy::inline v0 {
namespace {

// Those that Whisper knows, and some more that fal's models list.
constexpr Language languages[] = {
    {"en", "eng", "english"},     {"zh", "zho", "chinese"},    {"de", "deu", "german"},
    {"es", "spa", "spanish"},     {"ru", "rus", "russian"},    {"ko", "kor", "korean"},
    {"fr", "fra", "french"},      {"ja", "jpn", "japanese"},   {"pt", "por", "portuguese"},
    {"tr", "tur", "turkish"},     {"pl", "pol", "polish"},     {"ca", "cat", "catalan"},
    {"nl", "nld", "dutch"},       {"ar", "ara", "arabic"},     {"sv", "swe", "swedish"},
    {"it", "ita", "italian"},     {"id", "ind", "indonesian"}, {"hi", "hin", "hindi"},
    {"fi", "fin", "finnish"},     {"vi", "vie", "vietnamese"}, {"he", "heb", "hebrew"},
    {"uk", "ukr", "ukrainian"},   {"el", "ell", "greek"},      {"ms", "msa", "malay"},
    {"cs", "ces", "czech"},       {"ro", "ron", "romanian"},   {"da", "dan", "danish"},
    {"hu", "hun", "hungarian"},   {"ta", "tam", "tamil"},      {"no", "nor", "norwegian"},
    {"th", "tha", "thai"},        {"ur", "urd", "urdu"},       {"hr", "hrv", "croatian"},
    {"bg", "bul", "bulgarian"},   {"lt", "lit", "lithuanian"}, {"la", "lat", "latin"},
    {"mi", "mri", "maori"},       {"ml", "mal", "malayalam"},  {"cy", "cym", "welsh"},
    {"sk", "slk", "slovak"},      {"te", "tel", "telugu"},     {"fa", "fas", "persian"},
    {"lv", "lav", "latvian"},     {"bn", "ben", "bengali"},    {"sr", "srp", "serbian"},
    {"az", "aze", "azerbaijani"}, {"sl", "slv", "slovenian"},  {"kn", "kan", "kannada"},
    {"et", "est", "estonian"},    {"mk", "mkd", "macedonian"}, {"br", "bre", "breton"},
    {"eu", "eus", "basque"},      {"is", "isl", "icelandic"},  {"hy", "hye", "armenian"},
    {"ne", "nep", "nepali"},      {"mn", "mon", "mongolian"},  {"bs", "bos", "bosnian"},
    {"kk", "kaz", "kazakh"},      {"sq", "sqi", "albanian"},   {"sw", "swa", "swahili"},
    {"gl", "glg", "galician"},    {"mr", "mar", "marathi"},    {"pa", "pan", "punjabi"},
    {"si", "sin", "sinhala"},     {"km", "khm", "khmer"},      {"sn", "sna", "shona"},
    {"yo", "yor", "yoruba"},      {"so", "som", "somali"},     {"af", "afr", "afrikaans"},
    {"oc", "oci", "occitan"},     {"ka", "kat", "georgian"},   {"be", "bel", "belarusian"},
    {"tg", "tgk", "tajik"},       {"sd", "snd", "sindhi"},     {"gu", "guj", "gujarati"},
    {"am", "amh", "amharic"},     {"yi", "yid", "yiddish"},    {"lo", "lao", "lao"},
    {"uz", "uzb", "uzbek"},       {"fo", "fao", "faroese"},    {"ht", "hat", "haitian creole"},
    {"ps", "pus", "pashto"},      {"tk", "tuk", "turkmen"},    {"nn", "nno", "nynorsk"},
    {"mt", "mlt", "maltese"},     {"sa", "san", "sanskrit"},   {"lb", "ltz", "luxembourgish"},
    {"my", "mya", "myanmar"},     {"bo", "bod", "tibetan"},    {"tl", "tgl", "tagalog"},
    {"mg", "mlg", "malagasy"},    {"as", "asm", "assamese"},   {"tt", "tat", "tatar"},
    {"haw", "haw", "hawaiian"},   {"ln", "lin", "lingala"},    {"ha", "hau", "hausa"},
    {"ba", "bak", "bashkir"},     {"jw", "jav", "javanese"},   {"su", "sun", "sundanese"},
    {"yue", "yue", "cantonese"},  {"ga", "gle", "irish"},      {"zu", "zul", "zulu"},
    {"xh", "xho", "xhosa"},       {"ig", "ibo", "igbo"},       {"ky", "kir", "kyrgyz"},
    {"fil", "fil", "filipino"},   {"ast", "ast", "asturian"},  {"ny", "nya", "nyanja"},
    {"or", "ori", "odia"},        {"ku", "kur", "kurdish"},
};

}  // namespace

const Language* find_language(std::string_view word) noexcept {
  const std::string_view plain = trim(word.substr(0, word.find_first_of("(,")));
  const std::string_view code = plain.substr(0, plain.find_first_of("-_"));
  for (const Language& one : languages) {
    if (equal_ignoring_case(plain, one.name) || equal_ignoring_case(code, one.code) ||
        equal_ignoring_case(code, one.code3))
      return &one;
  }
  return nullptr;
}

}  // namespace falproxy::inline v0
