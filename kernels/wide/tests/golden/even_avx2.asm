   0  vmovups ymm0, [rdi]
   4  vshufps ymm0, ymm0, [rdi+20h], 88h
   a  vpermpd ymm0, ymm0, 0D8h
  10  vpxor xmm1, xmm1, xmm1
  14  vmaxps ymm0, ymm0, ymm1
  18  vminps ymm0, ymm0, [80h]
  20  neg rdx
  23  lea rax, [60h]
  2a  vmovups ymm1, [rax+rdx*4]
  2f  vmaskmovps [rsi], ymm1, ymm0
  34  vzeroupper
  37  ret
