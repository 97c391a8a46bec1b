"""The names of columns in other languages: one table a language, for anyone to extend.

A name is as tools of that language write it; case, spaces, dots and underscores do not matter. Each table comes
with headers that somebody's files have.
"""

from __future__ import annotations

from mdstore.core.column_names.table import Example, Table

__all__ = ["LANGUAGES"]

POLISH = Table(
    names={
        "timestamp": ("data", "data i czas"),
        "open": ("otwarcie", "kurs otwarcia"),
        "high": ("najwyższy", "najwyzszy", "maksimum", "kurs maksymalny", "maks"),
        "low": ("najniższy", "najnizszy", "minimum", "kurs minimalny"),
        "close": ("zamknięcie", "zamkniecie", "kurs zamknięcia", "ostatnio"),
        "volume": ("wolumen", "wolumen obrotu", "wol"),
    },
    examples=(
        Example("Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen", "tohlcv"),  # stooq
        Example("Data,Ostatnio,Otwarcie,Maks.,Min.,Wol.,Zmiana%", "tcohlv-"),  # Investing
        Example("Data,Kurs otwarcia,Kurs maksymalny,Kurs minimalny,Kurs zamknięcia,Wolumen", "tohlcv"),
    ),
)
RUSSIAN = Table(
    names={
        "symbol": ("тикер",),
        "timestamp": ("дата", "дата и время"),
        "time of day": ("время",),
        "open": ("откр", "открытие", "цена открытия"),
        "high": ("макс", "максимум", "максимальная цена"),
        "low": ("мин", "минимум", "минимальная цена"),
        "close": ("закр", "закрытие", "цена закрытия", "цена", "посл"),
        "volume": ("объём", "объем", "объём торгов"),
    },
    examples=(
        Example("Дата,Цена,Откр.,Макс.,Мин.,Объём,Изм. %", "tcohlv-"),  # Investing
        Example("Тикер,Дата,Время,Открытие,Максимум,Минимум,Закрытие,Объем", "stdohlcv"),
    ),
)
PORTUGUESE = Table(
    names={
        "symbol": ("ativo", "papel"),
        "timestamp": ("data", "data/hora"),
        "time of day": ("hora",),
        "open": ("abertura", "preço de abertura"),
        "high": ("máxima", "maxima", "máximo", "preço máximo"),
        "low": ("mínima", "minima", "mínimo", "preço mínimo"),
        "close": ("último", "ultimo", "fechamento", "preço de fechamento"),
        "volume": ("quantidade", "volume", "vol"),  # beside a quantity, the volume is money
    },
    examples=(
        Example("Data,Último,Abertura,Máxima,Mínima,Vol.,Var%", "tcohlv-"),  # Investing
        Example("Ativo,Data,Hora,Abertura,Máximo,Mínimo,Fechamento,Volume,Quantidade", "stdohlc-v"),  # Profit
    ),
)
SPANISH = Table(
    names={
        "timestamp": ("fecha", "fecha y hora"),
        "time of day": ("hora",),
        "open": ("apertura", "precio de apertura"),
        "high": ("máximo", "maximo", "precio máximo"),
        "low": ("mínimo", "minimo", "precio mínimo"),
        "close": ("último", "ultimo", "cierre", "precio de cierre"),
        "volume": ("volumen",),
    },
    examples=(
        Example("Fecha,Último,Apertura,Máximo,Mínimo,Vol.,% var.", "tcohlv-"),  # Investing
        Example("Fecha,Apertura,Máximo,Mínimo,Cierre,Volumen", "tohlcv"),
    ),
)
GERMAN = Table(
    names={
        "timestamp": ("datum", "zeitpunkt"),
        "time of day": ("zeit", "uhrzeit"),
        "open": ("eröffn", "eröffnung", "erster", "eröffnungskurs"),
        "high": ("hoch", "tageshoch", "höchstkurs"),
        "low": ("tief", "tagestief", "tiefstkurs"),
        "close": ("zuletzt", "schluss", "schlusskurs"),
        "volume": ("stück", "stuecke", "stücke", "volumen", "vol"),  # beside pieces, the volume is money
    },
    examples=(
        Example("Datum,Zuletzt,Eröffn.,Hoch,Tief,Vol.,+/- %", "tcohlv-"),  # Investing
        Example("Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke;Volumen", "tohlcv-"),  # Ariva
    ),
)
FRENCH = Table(
    names={
        "timestamp": ("date", "date et heure"),
        "time of day": ("heure",),
        "open": ("ouv", "ouverture", "cours d'ouverture"),
        "high": ("plus haut", "+ haut", "haut"),
        "low": ("plus bas", "+ bas", "bas"),
        "close": ("dernier", "clôture", "cloture", "dern"),
        "volume": ("nombre de titres", "volume", "vol"),
    },
    examples=(
        Example("Date,Dernier,Ouv.,Plus Haut,Plus Bas,Vol.,Variation %", "tcohlv-"),  # Investing
        Example("Date;Ouverture;Plus haut;Plus bas;Clôture;Volume", "tohlcv"),
    ),
)
ITALIAN = Table(
    names={
        "timestamp": ("data",),
        "time of day": ("ora",),
        "open": ("apertura",),
        "high": ("massimo", "max"),
        "low": ("minimo", "min"),
        "close": ("ultimo", "chiusura"),
        "volume": ("volumi", "quantità"),
    },
    examples=(Example("Data,Ultimo,Apertura,Massimo,Minimo,Vol.,Var. %", "tcohlv-"),),  # Investing
)
TURKISH = Table(
    names={
        "timestamp": ("tarih",),
        "time of day": ("saat",),
        "open": ("açılış",),
        "high": ("yüksek",),
        "low": ("düşük",),
        "close": ("şimdi", "kapanış"),
        "volume": ("hac", "hacim"),
    },
    examples=(
        Example("Tarih,Şimdi,Açılış,Yüksek,Düşük,Hac.,Fark %", "tcohlv-"),  # Investing
    ),
)
JAPANESE = Table(
    names={
        "symbol": ("銘柄コード", "コード"),
        "timestamp": ("日付", "日付け", "日時", "年月日", "データ日付"),
        "time of day": ("時刻", "時間"),
        "open": ("始値",),
        "high": ("高値",),
        "low": ("安値",),
        "close": ("終値",),
        "volume": ("出来高", "出来高(株)", "売買高", "売買高(株)"),
    },
    examples=(
        Example("日付,始値,高値,安値,終値,出来高", "tohlcv"),
        Example("日付け,終値,始値,高値,安値,出来高,変化率 %", "tcohlv-"),  # Investing
        Example("日付,時刻,始値,高値,安値,終値,出来高", "tdohlcv"),
        Example("データ日付,終値,始値,高値,安値,売買高(株)", "tcohlv"),
    ),
)
CHINESE = Table(
    names={
        "symbol": ("股票代码", "代码", "证券代码", "證券代號"),
        "timestamp": ("日期", "交易日期", "时间", "時間", "交易时间"),
        "time of day": ("时间", "時間"),
        "open": ("开盘", "开盘价", "開盤", "開盤價", "今开", "開市"),
        "high": ("最高", "最高价", "最高價", "高"),
        "low": ("最低", "最低价", "最低價", "低"),
        "close": ("收盘", "收盘价", "收盤", "收盤價", "收市"),
        "volume": ("成交量", "成交股數", "交易量"),
    },
    examples=(
        Example(
            "日期,股票代码,开盘,收盘,最高,最低,成交量,成交额,振幅,涨跌幅,涨跌额,换手率", "tsochlv-----"
        ),  # AKShare
        Example("日期,股票代码,收盘价,最高价,最低价,开盘价,前收盘,成交量", "tschlo-v"),
        Example("日期,收盘,开盘,高,低,交易量,涨跌幅", "tcohlv-"),  # Investing
        Example("日期,时间,开盘,最高,最低,收盘,成交量,成交额", "tdohlcv-"),  # TDX
        Example("日期,成交股數,成交金額,開盤價,最高價,最低價,收盤價,漲跌價差,成交筆數", "tv-ohlc--"),  # TWSE
    ),
)
KOREAN = Table(
    names={
        "symbol": ("종목코드", "종목", "단축코드"),
        "timestamp": ("일자", "날짜", "일시", "체결시간", "거래일"),
        "time of day": ("시각", "시간"),
        "open": ("시가", "오픈"),
        "high": ("고가",),
        "low": ("저가",),
        "close": ("종가", "현재가"),
        "volume": ("거래량",),
    },
    examples=(
        Example("일자,시가,고가,저가,종가,거래량", "tohlcv"),
        Example("날짜,시가,고가,저가,종가,거래량,등락률", "tohlcv-"),  # pykrx
        Example("일자,시각,시가,고가,저가,종가,거래량", "tdohlcv"),
        Example(
            "일자,종가,대비,등락률,시가,고가,저가,거래량,거래대금,시가총액,상장주식수", "tc--ohlv---"
        ),  # KRX
        Example("날짜,종가,오픈,고가,저가,거래량,변동 %", "tcohlv-"),  # Investing
    ),
)
LANGUAGES = {
    "pl": POLISH, "ru": RUSSIAN, "pt": PORTUGUESE, "es": SPANISH, "de": GERMAN, "fr": FRENCH, "it": ITALIAN,
    "tr": TURKISH, "ja": JAPANESE, "zh": CHINESE, "ko": KOREAN,
}  # fmt: skip
