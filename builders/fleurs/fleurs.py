"""FLEURS: the sentences of FLoRes-101, read aloud in 102 languages.

Source: Conneau et al. (2023), https://arxiv.org/abs/2205.12446. Read are the archives of one language each
(``en_us.tar.gz``), the Hub's ``data/<language>/{train,dev,test}.tsv`` with ``audio/{train,dev,test}.tar.gz``, and
folders made from them, with the tables beside the audio or in a folder of their own (``metadata/en_us/``).
"""

from __future__ import annotations

from collections.abc import Iterator

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.files import Files
from builders.hub_layout import Shards
from builders.listing import Utterance
from builders.tsv import read_tsv

LANGUAGES = """
    af_za am_et ar_eg as_in ast_es az_az be_by bg_bg bn_in bs_ba ca_es ceb_ph ckb_iq cmn_hans_cn cs_cz cy_gb
    da_dk de_de el_gr en_us es_419 et_ee fa_ir ff_sn fi_fi fil_ph fr_fr ga_ie gl_es gu_in ha_ng he_il hi_in
    hr_hr hu_hu hy_am id_id ig_ng is_is it_it ja_jp jv_id ka_ge kam_ke kea_cv kk_kz km_kh kn_in ko_kr ky_kg
    lb_lu lg_ug ln_cd lo_la lt_lt luo_ke lv_lv mi_nz mk_mk ml_in mn_mn mr_in ms_my mt_mt my_mm nb_no ne_np nl_nl
    nso_za ny_mw oc_fr om_et or_in pa_in pl_pl ps_af pt_br ro_ro ru_ru sd_in sk_sk sl_si sn_zw so_so sr_rs sv_se
    sw_ke ta_in te_in tg_tj th_th tr_tr uk_ua umb_ao ur_pk uz_uz vi_vn wo_sn xh_za yo_ng yue_hant_hk zu_za
""".split()
TAGS = {"cmn": "zh"}  # the code that other corpora have for it; otherwise the first part of the name
ANY = r"[a-z]{2,3}(?:_[a-z]{4})?_(?:[a-z]{2}|419)"
TABLES = {"train": "train", "validation": "dev", "test": "test"}
COLUMNS = ("id", "file_name", "raw_transcription", "transcription", "characters", "num_samples", "gender")
GENDERS = {"MALE": "male", "FEMALE": "female", "OTHER": "other"}
COUNTS = {  # train, dev, test
    "cmn_hans_cn": (3246, 409, 945), "cs_cz": (2811, 305, 723), "cy_gb": (3427, 447, 1021), "da_dk": (2465, 395, 930),
    "de_de": (2987, 363, 862), "el_gr": (3215, 271, 650), "en_us": (2602, 394, 647), "es_419": (2796, 408, 908),
    "et_ee": (2501, 387, 893), "fa_ir": (3101, 369, 871), "ff_sn": (3235, 273, 660),
}  # fmt: skip
SIZES = {"cmn_hans_cn": (2522990658, "cd39a9c9ac596fb561ad90353660889e"), "pt_br": (2682883058,)}  # bytes, MD5


class Fleurs(CorpusBuilder):
    """FLEURS, a configuration a language."""

    FACTS = Facts(
        title="FLEURS: Few-shot Learning Evaluation of Universal Representations of Speech",
        homepage="https://huggingface.co/datasets/google/fleurs",
        licence="CC BY 4.0",
        access="FLEURS is open: without data_dir <language>.tar.gz is fetched from "
        "https://storage.googleapis.com/xtreme_translations/FLEURS102/; copies of "
        "https://huggingface.co/datasets/google/fleurs are read as well: pass data_dir=<folder or archive>",
        citation="Conneau, A., Ma, M., Khanuja, S., Zhang, Y., Axelrod, V., Dalmia, S., Riesa, J., Rivera, C., "
        "Bapna, A. (2023). FLEURS: Few-shot Learning Evaluation of Universal Representations of Speech. SLT 2022.",
        root=rf"^(?:.*/)?(?={ANY}/(?:audio/|train/|dev/|test/|\w+\.tsv$))",
        download="https://storage.googleapis.com/xtreme_translations/FLEURS102/",
        archives=tuple(Archive(f"{language}.tar.gz", *SIZES.get(language, ())) for language in LANGUAGES),
        placed=tuple(f"{part}.tar.gz" for part in TABLES.values()),
        labels=("gender", "subset"),
        own_labels={
            "flores_id": Value("int32"),  # of the sentence, the same in all languages
            "raw_transcription": Value("string"),
            "characters": Value("string"),
        },
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name=name, description=description,
                     archives=archives,
                     splits=dict(zip(TABLES, map(Expected, COUNTS.get(name, (None,) * 3)), strict=True)))
        for name, description, archives in (
            ("all", "All languages that are there.", [f"{language}.*" for language in LANGUAGES]),
            *((language, f"{language}: about 10 hours of training.", [f"{language}.*"]) for language in LANGUAGES),
        )
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "all"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the rows of the tables of a split, those of which there is no audio included."""
        part, wanted = TABLES[split], self.config.name
        for table in list(files.match(rf"(?P<folder>(?:(?P<language>{ANY})/)?){part}\.tsv")):
            language = table["language"] or wanted
            if wanted in ("all", language) and language != "all":
                folders = [f"{table['folder']}audio/{part}/", f"{table['folder']}{part}/", f"{part}/"]
                audio = Shards(files, folders)
                for cells in read_tsv(files.lines(table[0]), COLUMNS):
                    yield sentence(cells, language, audio)


def sentence(cells: dict[str, str], language: str, audio: Shards) -> Utterance:
    """Make an utterance of a row of a table (tabs between the cells, no header).

    77 100.wav Raw first. first normalized f i r s t | 160 FEMALE
    """
    name = cells["file_name"].rsplit("/", 1)[-1]
    labels = {
        "gender": GENDERS.get(cells.get("gender", "")),
        "subset": language,
        "flores_id": int(cells["id"]),
        "raw_transcription": cells["raw_transcription"] or None,
        "characters": cells.get("characters") or None,
    }
    code = language.split("_")[0]
    return Utterance(
        f"{language}_{name.removesuffix('.wav')}",
        audio.find(name) or f"{audio.folders[0]}{name}",  # absent: quarantined
        cells["transcription"] or None,
        language=TAGS.get(code, code),
        labels=labels,
    )
