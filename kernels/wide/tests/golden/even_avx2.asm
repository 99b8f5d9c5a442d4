   0  vmovups ymm11, [rdi]
   4  vshufps ymm11, ymm11, [rdi+20h], 88h
   a  vpermpd ymm10, ymm11, 0D8h
  10  vpxor xmm12, xmm12, xmm12
  15  vmaxps ymm11, ymm10, ymm12
  1a  vminps ymm6, ymm11, [80h]
  22  neg rdx
  25  lea rax, [60h]
  2c  vmovups ymm11, [rax+rdx*4]
  31  vmaskmovps [rsi], ymm11, ymm6
  36  vzeroupper
  39  ret
