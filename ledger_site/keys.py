"""What the keys do, in the words of pages and help: (key, what it does)."""

EVERYWHERE = (
    ("Tab、Shift+Tab", "到下一处、上一处；打开页面后先按一次，可以跳到正文"),
    ("回车", "打开链接，按下按钮"),
    ("空格", "勾选，选定，展开或收起"),
    ("方向键", "在一组选项（如定级类别）中换一个"),
    ("Esc", "收起打开的菜单"),
)
REVIEW = (("j", "下一个"), ("k", "上一个"))  # the data-key of its links
GRID = (
    ("直接输入", "替换整格"),
    ("F2", "在原文上修改"),
    ("方向键、回车、Tab", "换到别的格"),
    ("Alt+回车", "在格内换行"),
    ("Esc", "恢复本格原来的内容"),
    ("Ctrl+V", "从这一格起，依次写入从 Excel、WPS 表格复制的各格"),
)
PAGES = (("每一页", EVERYWHERE), ("审核", REVIEW), ("表格填报", GRID))
